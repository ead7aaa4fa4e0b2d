//! What a session has set of ours.

use std::rc::Rc;

/// The settings of ours (`SET lockkeeper.<name>`) of a session, as far as they are known without being asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directives {
    /// Nobody has asked.
    Unasked,
    /// It has had these all along.
    Known(Rc<Vec<(&'static str, String)>>),
    /// It changes them.
    Changing,
}
