//! The bytes of the Postgres protocol, as far as the proxy reads or writes them.

pub mod notice;
pub mod startup;
