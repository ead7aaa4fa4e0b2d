//! What a statement's text says.

pub mod statement;
