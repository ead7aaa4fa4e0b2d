//! Which policy holds for whom.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::hazard::HazardSetting;
use crate::judge::policy::{Allowance, Deferred, InTransaction, Overriding};
use crate::judge::{Mode, Policy};

/// The policy of everybody, and of those whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What holds where no rule says otherwise.
    pub default: Policy,
    /// The first that matches wins.
    pub rules: Vec<Rule>,
    /// Users who may pass peak hours and freezes.
    pub override_roles: Vec<Pattern>,
}

/// What holds for a database, a user or an application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// `None` matches every database.
    pub database: Option<Pattern>,
    /// `None` matches every user.
    pub user: Option<Pattern>,
    /// `None` matches every application.
    pub application_name: Option<Pattern>,
    /// `None` keeps the default, as below.
    pub mode: Option<Mode>,
    /// The longest that an application session may wait behind one of ours.
    pub max_stall: Option<Duration>,
    /// How long a step is retried.
    pub retry_for: Option<Duration>,
    /// What becomes of long work in an open transaction.
    pub in_transaction: Option<InTransaction>,
    /// When the client hears of the COMMIT before it.
    pub deferred: Option<Deferred>,
    /// Hazards that are let pass, each with the reason.
    pub allow: Vec<Allowance>,
    /// What is to become of single hazards.
    pub hazards: Vec<(String, HazardSetting)>,
    /// The size in bytes below which a table is excused.
    pub small_table: Option<u64>,
}

impl Rules {
    /// The policy of a session: that of the first rule that matches, filled up from the default.
    pub fn policy_for(&self, database: &str, user: &str, application_name: &str) -> Policy {
        let matching = self.rules.iter().find(|rule| rule.matches(database, user, application_name));
        let mut policy = matching.map_or_else(|| self.default.clone(), |rule| rule.over(&self.default));
        if self.override_roles.iter().any(|role| role.matches(user)) {
            policy.overriding = Overriding::Allowed;
        }
        policy
    }
}

impl Rule {
    fn matches(&self, database: &str, user: &str, application_name: &str) -> bool {
        let fits = |pattern: &Option<Pattern>, name| pattern.as_ref().is_none_or(|p| p.matches(name));
        fits(&self.database, database)
            && fits(&self.user, user)
            && fits(&self.application_name, application_name)
    }

    fn over(&self, default: &Policy) -> Policy {
        let mut policy = default.clone();
        policy.mode = self.mode.unwrap_or(policy.mode);
        policy.max_stall = self.max_stall.unwrap_or(policy.max_stall);
        policy.retry_for = self.retry_for.unwrap_or(policy.retry_for);
        policy.in_transaction = self.in_transaction.unwrap_or(policy.in_transaction);
        policy.deferred = self.deferred.unwrap_or(policy.deferred);
        policy.allow.extend(self.allow.iter().cloned());
        policy.hazards.extend(self.hazards.iter().cloned());
        policy.small_table = self.small_table.unwrap_or(policy.small_table);
        policy
    }
}

/// A name in which `*` stands for any text, also none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the name fits; upper and lower case differ, as they do in Postgres' catalogues.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let mut starred = false;
        let mut last = "";
        for part in parts {
            // The leftmost place of each part but the last leaves the most room for the rest.
            if starred {
                let Some((_, after)) = rest.split_once(last) else { return false };
                rest = after;
            }
            last = part;
            starred = true;
        }
        if starred { rest.ends_with(last) } else { rest.is_empty() }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected a name or a pattern with \"*\", found nothing".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().expect("not empty")
    }

    #[test]
    fn patterns() {
        for (text, fits, differs) in [
            ("shop", &["shop"][..], &["shops", "Shop", "", "a shop"][..]),
            ("shop_*", &["shop_", "shop_eu"], &["shop", "my shop_eu"]),
            ("*_eu", &["shop_eu", "_eu"], &["shop_eu2"]),
            ("a*b*c", &["abc", "a-b-b-c", "abbcc"], &["ac", "acb", "ab", "bac"]),
            ("*", &["", "anything"], &[]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("*ab*ab*", &["abab", "xabyabz"], &["xab"]),
        ] {
            for name in fits {
                assert!(pattern(text).matches(name), "{text} should match {name:?}");
            }
            for name in differs {
                assert!(!pattern(text).matches(name), "{text} should not match {name:?}");
            }
        }
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let rules = Rules {
            default: Policy::default(),
            override_roles: vec![pattern("dba_*")],
            rules: vec![
                Rule { application_name: Some(pattern("pgroll")), mode: Some(Mode::Off), ..Rule::default() },
                Rule {
                    database: Some(pattern("shop_*")),
                    max_stall: Some(Duration::from_millis(20)),
                    ..Rule::default()
                },
                Rule { mode: Some(Mode::Observe), ..Rule::default() },
            ],
        };
        assert_eq!(rules.policy_for("shop_eu", "ann", "pgroll").mode, Mode::Off);
        let shop = rules.policy_for("shop_eu", "ann", "psql");
        assert_eq!((shop.mode, shop.max_stall), (Mode::Enforce, Duration::from_millis(20)));
        assert_eq!(shop.retry_for, Policy::default().retry_for);
        assert_eq!(rules.policy_for("other", "ann", "psql").mode, Mode::Observe);
        assert_eq!(shop.overriding, Overriding::Denied);
        assert_eq!(rules.policy_for("shop_eu", "dba_eve", "psql").overriding, Overriding::Allowed);
    }
}
