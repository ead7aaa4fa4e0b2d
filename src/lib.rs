//! A Postgres wire-protocol proxy that makes schema changes on a live database safe.
//!
//! A module imports only modules that stand above it in this list; a test keeps that rule.
//! `ARCHITECTURE.md` tells what each of them is for.

// Eleven that think: pure, no sockets, no clock, no environment.
pub mod base;
pub mod peak;
pub mod wire;
pub mod sql;
pub mod effects;
pub mod plan;
pub mod hazard;
pub mod judge;
pub mod review;
pub mod pace;
pub mod session;

// Those that do: thin I/O.
pub mod event;
pub mod live;
pub mod upstream;
pub mod control;
pub mod execute;

// Those that face people.
pub mod serve;
pub mod config;
pub mod cluster;
pub mod traffic;
pub mod cli;
