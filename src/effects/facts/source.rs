//! Where facts come from: a connection, nowhere at all, or a test.

use std::convert::Infallible;
use std::future::Future;

use super::Facts;
use crate::effects::Need;

/// Answers what the analysis wants to know.
pub trait Source {
    /// Why there is no answer.
    type Trouble;

    /// What is known of the things that are asked for.
    fn look_up(&mut self, need: &Need) -> impl Future<Output = Result<Facts, Self::Trouble>>;
}

/// Nobody to ask: everything is unknown but the version that is assumed.
#[derive(Debug, Clone, Copy)]
pub struct Offline {
    /// `server_version_num`, such as 180000.
    pub server_version: u32,
}

impl Offline {
    /// What is known of anything.
    pub fn facts(self) -> Facts {
        Facts { server_version: self.server_version, offline: true, ..Facts::default() }
    }
}

impl Source for Offline {
    type Trouble = Infallible;

    async fn look_up(&mut self, _need: &Need) -> Result<Facts, Infallible> {
        Ok(self.facts())
    }
}
