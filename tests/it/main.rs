//! The integration tests: one program, so that it is linked once, with a module per subject.
//!
//! They start clusters and proxies of their own (`support`), need no network beyond 127.0.0.1, no fixed port and no order.

#![cfg(test)]

mod config;
mod demo;
mod docker;
mod docs;
mod drivers;
mod guards;
mod guards_waiting;
mod lifecycle;
mod operate;
mod support;
mod tidy;
