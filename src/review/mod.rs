//! The review of whole files: every statement in its place, folded over its transaction and its file.
//!
//! The same analysis as the proxy's, and more words. Invariants: a statement is parsed once, and the review of a file
//! takes linear time; nothing of a file is left out in silence.
//!
//! Deliberately absent: reading files, asking servers, printing. That is for `cli` and `control`.

mod alembic;
pub mod estimate;
pub mod explain;
mod flaws;
mod fold;
pub mod lint;
mod options;
mod place;
pub mod render;
pub mod report;
mod share;
mod split;
mod step;

pub use fold::review;
pub use options::{Deny, Options};
pub use place::Place;
pub use report::Report;
pub use split::{Split, split};
