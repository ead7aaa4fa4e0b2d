//! What a statement would do if it were run as sent.

pub mod facts;
