//! (to be merged)
pub mod relay;
