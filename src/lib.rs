//! A Postgres wire-protocol proxy that makes schema changes on a live database safe.
//!
//! A module imports only modules that stand above it in this list; a test keeps that rule.
//! `ARCHITECTURE.md` tells what each of them is for.

// Nine that think: pure, no sockets, no clock, no environment.
pub mod base;
pub mod effects;
pub mod hazard;
pub mod judge;
pub mod pace;
pub mod plan;
pub mod session;
pub mod sql;
pub mod wire;

// Those that do: thin I/O.
pub mod control;
pub mod event;
pub mod execute;
pub mod live;
pub mod upstream;

// Those that face people.
pub mod cli;
pub mod cluster;
pub mod config;
pub mod serve;
