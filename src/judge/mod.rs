//! What is to become of a statement: policy and effects make a decision.

pub mod decision;
pub mod policy;

pub use decision::{Decision, Guard, Judgement, Retry, Target};
pub use policy::{Mode, Policy};
