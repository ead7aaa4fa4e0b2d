//! The trade's words: small value types that every other module speaks in.
//!
//! Nothing here knows of sockets, SQL texts or configuration files.

pub mod lock_mode;
pub mod name;
pub mod notice;
pub mod relation;
pub mod sqlstate;
pub mod unit;

pub use lock_mode::LockMode;
pub use notice::{Notice, Severity};
pub use relation::RelationName;
pub use sqlstate::SqlState;
pub use unit::{Period, Size};
