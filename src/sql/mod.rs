//! What a statement's text says.
//!
//! Invariants:
//! - `parse` never fails: what it cannot read is `Opaque`.
//! - `triage` never lets pass what `parse` would stop.
//! - `long` finds in pieces what it would find in the whole.
//! - Only `parse` knows the parser; nobody prints SQL from a tree: texts are changed by span (`edit`).
//!
//! Deliberately absent: the catalogue (that is `effects`) and any opinion (that is `judge`).

pub mod advisory;
pub mod again;
pub mod bookkeeping;
pub mod called;
pub mod directive;
pub mod edit;
pub mod encoding;
pub mod executed;
pub mod fixed;
pub mod form;
pub(crate) mod lex;
pub mod lockers;
mod long;
pub mod memory;
pub mod on_copy;
pub mod parse;
pub mod pieces;
pub mod shape;
pub mod statement;
pub mod triage;

pub use directive::Directive;
pub use encoding::{Dialect, Encoding};
pub use form::Form;
pub use lockers::{Calls, Lockers};
pub use long::LongText;
pub use memory::Memory;
pub use on_copy::OnCopy;
pub use parse::parse;
pub use pieces::Pieces;
pub use shape::{Shape, Shapes};
pub use statement::{Kind, Lock, Readable, Script, Statement};
pub use triage::{Triage, triage};
