//! The configuration: defaults, file, environment and flags, checked as a whole.
//!
//! `file` is the one table of keys; the reading, the reference, the example file and `lockkeeper config` come from it.
//! Invariant: nothing above this module knows of the file; each module has settings of its own, valid by construction.
//! Invariant: all problems are told at once, and a file with one problem changes nothing.

pub mod address;
pub mod bulk;
mod check;
mod conninfo;
mod document;
mod edge;
pub mod file;
mod files;
pub mod hazards;
pub mod key;
pub mod libpq;
mod passfile;
mod load;
pub mod problem;
pub mod reference;
pub mod peak;
pub mod rule;
mod settings;
pub mod source;
pub mod suggest;
pub mod value;
pub mod word;

pub use load::{Changes, Loaded, load, load_text};
pub use problem::{Problem, Problems};
pub use settings::{LogSettings, Settings};
pub use source::{FlagValue, Sources};
