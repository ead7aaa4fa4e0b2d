//! What a review goes by.

use crate::hazard::HazardSetting;
use crate::judge::Policy;

/// What a review goes by.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Settings of hazards, small tables, and what is allowed.
    pub policy: Policy,
    /// What makes the review fail.
    pub deny: Deny,
    /// The tool runs each file as one transaction.
    pub assume_in_transaction: bool,
}

/// What makes a review fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deny {
    /// Findings of that level and graver ones; `None` for no level.
    pub level: Option<HazardSetting>,
    /// Findings of these ids, whatever their level.
    pub ids: Vec<String>,
}

impl Default for Deny {
    fn default() -> Self {
        Self { level: Some(HazardSetting::Warn), ids: Vec::new() }
    }
}

impl Deny {
    /// What words ask for; the mildest of several levels counts. Nothing said is the default.
    pub fn of(words: &[String]) -> Self {
        let level = words.iter().filter_map(|word| word.parse().ok()).min();
        let is_id = |word: &&String| word.parse::<HazardSetting>().is_err();
        let ids = words.iter().filter(is_id).cloned().collect();
        if words.is_empty() { Self::default() } else { Self { level, ids } }
    }

    /// Whether a finding makes the review fail.
    pub(super) fn denies(&self, id: &str, level: HazardSetting) -> bool {
        self.level.is_some_and(|denied| level >= denied) || self.ids.iter().any(|denied| denied == id)
    }
}
