//! A review in the forms in which people and programs read it.

mod github;
mod json;
mod junit;
mod sarif;
mod text;

pub use self::github::github;
pub use self::json::json;
pub use self::junit::junit;
pub use self::sarif::sarif;
pub use self::text::{Style, text};
