//! What a partition is to hold, as far as constants say it.

/// `FOR VALUES ..`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// `IN (..)`; `None` for NULL.
    Values(Vec<Option<String>>),
    /// `FROM (..) TO (..)`, column by column; `None` for MINVALUE and MAXVALUE.
    Range(Vec<Option<String>>, Vec<Option<String>>),
    /// `DEFAULT`, a remainder, or expressions whose value only the server knows.
    Other,
}
