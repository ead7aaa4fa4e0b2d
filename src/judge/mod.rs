//! What is to become of a statement: policy and effects make a decision.
//!
//! Invariants: pure, total, and the same answer for the proxy, for `check` and for `explain`. What is said to the
//! client is put in words in `explain` alone.

mod as_sent;
pub mod bulk;
mod curb;
mod decide;
mod defer;
mod depend;
mod enforce;
pub mod decision;
mod exempt;
mod explain;
mod load;
pub mod moment;
pub mod policy;
mod retry;
mod scene;
pub mod setting;
mod together;
mod unless_exists;
mod unseen;

pub use curb::{pausing, still_held, stopped};
pub use decide::{decide, policy_for, review, written};
pub use decision::{Curbed, Decision, Guard, Hold, Judgement, Retry, Waits};
pub use defer::can_be_told_apart;
pub use depend::{STAYS_READ_WRITE, WAY_OUT, before};
pub use enforce::inseparable;
pub use exempt::gravity;
pub use moment::{Moment, Standing};
pub use policy::{Deferred, InTransaction, Mode, Policy};
pub use retry::is_repeatable;
pub use scene::Scene;
pub use setting::Setting;
pub use unseen::{calls_behind, calls_blindly};

#[cfg(test)]
mod tests;
