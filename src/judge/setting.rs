//! The settings that a session or a comment may change, checked.

use std::time::Duration;

use super::policy::{Allowance, Deferred, InTransaction, Mode, Overriding, Policy};
use crate::base::{Notice, Period, SqlState};
use crate::hazard;

/// A setting with a valid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `mode`
    Mode(Mode),
    /// `max_stall`
    MaxStall(Duration),
    /// `retry_for`
    RetryFor(Duration),
    /// `in_transaction`
    InTransaction(InTransaction),
    /// `deferred`
    Deferred(Deferred),
    /// `allow`
    Allow(Vec<Allowance>),
    /// `override`
    Override(Option<String>),
    /// `bulk_rows`
    BulkRows(u64),
    /// `rows_per_second`
    RowsPerSecond(Option<u64>),
}

impl Setting {
    /// Its name after `lockkeeper.`
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mode(_) => "mode",
            Self::MaxStall(_) => "max_stall",
            Self::RetryFor(_) => "retry_for",
            Self::InTransaction(_) => "in_transaction",
            Self::Deferred(_) => "deferred",
            Self::Allow(_) => "allow",
            Self::Override(_) => "override",
            Self::BulkRows(_) => "bulk_rows",
            Self::RowsPerSecond(_) => "rows_per_second",
        }
    }
}

impl Policy {
    /// The policy with settings on top; later ones win, allowances add up.
    #[must_use]
    pub fn with(&self, settings: &[Setting]) -> Self {
        let mut policy = self.clone();
        for setting in settings {
            match setting {
                Setting::Mode(mode) => policy.mode = *mode,
                Setting::MaxStall(max_stall) => policy.max_stall = *max_stall,
                Setting::RetryFor(retry_for) => policy.retry_for = *retry_for,
                Setting::InTransaction(what) => policy.in_transaction = *what,
                Setting::Deferred(when) => policy.deferred = *when,
                Setting::Allow(allowances) => policy.allow.extend(allowances.iter().cloned()),
                Setting::Override(why) => policy.override_for.clone_from(why),
                Setting::BulkRows(rows) => policy.bulk_rows = *rows,
                Setting::RowsPerSecond(rows) => policy.rows_per_second = *rows,
            }
        }
        policy
    }
}

/// A directive that is no setting: its statement goes on where it was interrupted.
pub const RESUME: &str = "resume";

/// Whether a directive of that name is a slip of the pen for `RESUME`: it is not ignored, since its statement would begin anew.
pub fn almost_resumes(name: &str) -> bool {
    let all: Vec<&str> = NAMES.into_iter().chain([RESUME]).collect();
    !all.contains(&name) && nearest(name, &all) == Some(RESUME)
}

/// The names that `SET lockkeeper.<name>` takes.
pub const NAMES: [&str; 9] = [
    "mode",
    "max_stall",
    "retry_for",
    "allow",
    "override",
    "in_transaction",
    "deferred",
    "bulk_rows",
    "rows_per_second",
];

const MODES: [(&str, Mode); 3] = [("enforce", Mode::Enforce), ("observe", Mode::Observe), ("off", Mode::Off)];
const IN_TRANSACTION: [(&str, InTransaction); 3] =
    [("defer", InTransaction::Defer), ("refuse", InTransaction::Refuse), ("warn", InTransaction::Warn)];
const DEFERRED: [(&str, Deferred); 2] = [("wait", Deferred::Wait), ("background", Deferred::Background)];
const MAX_STALL: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(10);
const RETRY_FOR: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(168);

/// Checks a setting for a session of this policy, which may not be one that overrides.
pub fn check_for(policy: &Policy, name: &str, value: &str) -> Result<Setting, Notice> {
    let setting = check(name, value)?;
    if matches!(setting, Setting::Override(Some(_))) && policy.overriding == Overriding::Denied {
        let message = "permission denied to set parameter \"lockkeeper.override\"";
        return Err(Notice::error(SqlState::INSUFFICIENT_PRIVILEGE, message)
            .detail("Only roles named in operator.override_roles may pass peak hours and freezes.")
            .hint("Ask one of them, or wait."));
    }
    Ok(setting)
}

/// Checks a setting; the error says what would be valid.
pub fn check(name: &str, value: &str) -> Result<Setting, Notice> {
    match name {
        "mode" => word(name, value, &MODES).map(Setting::Mode),
        "in_transaction" => word(name, value, &IN_TRANSACTION).map(Setting::InTransaction),
        "deferred" => word(name, value, &DEFERRED).map(Setting::Deferred),
        "max_stall" => duration(name, value, &MAX_STALL, "1ms to 10min").map(Setting::MaxStall),
        "retry_for" => duration(name, value, &RETRY_FOR, "0 to 168h").map(Setting::RetryFor),
        "allow" => allowances(value).map(Setting::Allow),
        "override" => reason(value).map(Setting::Override),
        "bulk_rows" => rows(name, value).map(Setting::BulkRows),
        "rows_per_second" if value.trim().eq_ignore_ascii_case("off") => Ok(Setting::RowsPerSecond(None)),
        "rows_per_second" => rows(name, value).map(Some).map(Setting::RowsPerSecond),
        _ => Err(unknown_name(name)),
    }
}

fn unknown_name(name: &str) -> Notice {
    let hint = match nearest(name, &NAMES) {
        Some(near) => format!("Perhaps you meant \"lockkeeper.{near}\"."),
        None => format!("Known settings: {}.", NAMES.join(", ")),
    };
    let message = format!("unrecognized configuration parameter \"lockkeeper.{name}\"");
    Notice::error(SqlState::UNDEFINED_OBJECT, message).hint(hint)
}

fn invalid(name: &str, value: &str) -> Notice {
    let message = format!("invalid value for parameter \"lockkeeper.{name}\": \"{value}\"");
    Notice::error(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// One of a few words.
fn word<T: Copy>(name: &str, value: &str, words: &[(&str, T)]) -> Result<T, Notice> {
    let lower = value.trim().to_ascii_lowercase();
    let known = words.iter().find(|(word, _)| *word == lower);
    known.map(|(_, meant)| *meant).ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(&lower, &all);
        let perhaps = near.map(|near| format!("Perhaps you meant \"{near}\". ")).unwrap_or_default();
        invalid(name, value).hint(format!("{perhaps}Available values: {}.", all.join(", ")))
    })
}

fn rows(name: &str, value: &str) -> Result<u64, Notice> {
    let plain = value.trim().replace('_', "");
    plain.parse().ok().filter(|rows| *rows > 0).ok_or_else(|| {
        let off = if name == "rows_per_second" { ", or \"off\"" } else { "" };
        invalid(name, value).hint(format!("A whole number of rows above 0{off}."))
    })
}

fn duration(
    name: &str,
    value: &str,
    range: &std::ops::RangeInclusive<Duration>,
    words: &str,
) -> Result<Duration, Notice> {
    parse_duration(value).filter(|duration| range.contains(duration)).ok_or_else(|| {
        invalid(name, value)
            .detail(format!("Allowed: {words}."))
            .hint("Valid units are \"us\", \"ms\", \"s\", \"min\", \"h\" and \"d\"; a number alone is milliseconds.")
    })
}

/// `50ms`, `2s`, `10min`, `1h`; here a plain number is milliseconds, as in Postgres' own timeouts.
fn parse_duration(text: &str) -> Option<Duration> {
    match text.trim().parse::<u64>() {
        Ok(ms) => Some(Duration::from_millis(ms)),
        Err(_) => text.parse::<Period>().ok().map(Period::duration),
    }
}

/// `hazard because reason`, several separated by commas; a comma within a reason is part of it.
fn allowances(value: &str) -> Result<Vec<Allowance>, Notice> {
    let mut allowances: Vec<Allowance> = Vec::new();
    for part in value.split(',').filter(|part| !part.trim().is_empty()) {
        match (split_reason(part), allowances.last_mut()) {
            (Some((hazard, reason)), _) => allowances.push(allowance(hazard, reason)?),
            (None, Some(last)) if hazard::by_id(part.trim()).is_none() => {
                last.reason.push(',');
                last.reason.push_str(part.trim_end());
            }
            (None, _) => return Err(without_reason(part.trim())),
        }
    }
    Ok(allowances)
}

/// The two sides of the word `because`.
fn split_reason(part: &str) -> Option<(&str, &str)> {
    let mut words = part.trim().splitn(3, char::is_whitespace);
    let (hazard, because) = (words.next()?, words.next()?);
    because.eq_ignore_ascii_case("because").then(|| (hazard, words.next().unwrap_or_default().trim()))
}

fn allowance(hazard: &str, reason: &str) -> Result<Allowance, Notice> {
    let id = hazard.to_ascii_lowercase();
    if hazard::by_id(&id).is_none() {
        let ids: Vec<&str> = hazard::ALL.iter().map(|hazard| hazard.id).collect();
        let hint = match nearest(&id, &ids) {
            Some(near) => format!("Perhaps you meant \"{near}\"."),
            None => "\"lockkeeper check --list\" shows every hazard.".to_owned(),
        };
        let message = format!("hazard \"{hazard}\" does not exist");
        return Err(Notice::error(SqlState::UNDEFINED_OBJECT, message).hint(hint));
    }
    if reason.is_empty() {
        return Err(without_reason(hazard));
    }
    Ok(Allowance { hazard: id, reason: reason.to_owned() })
}

/// Longer reasons are stories.
const REASON_BYTES_MAX: usize = 500;

/// `ticket: why`; nothing takes the override back.
fn reason(value: &str) -> Result<Option<String>, Notice> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let said = |part: &str| !part.trim().is_empty();
    let whole = value.split_once(':').is_some_and(|(ticket, why)| said(ticket) && said(why));
    if whole && value.len() <= REASON_BYTES_MAX {
        return Ok(Some(value.to_owned()));
    }
    Err(invalid("override", value)
        .detail("Whoever passes peak hours or a freeze says for what and why; the reason is kept and shown.")
        .hint("Write 'ticket: why', at most 500 bytes, or '' to end it."))
}

fn without_reason(hazard: &str) -> Notice {
    let hazard = hazard.split_whitespace().next().unwrap_or("<hazard>");
    invalid("allow", hazard)
        .detail("Whoever allows a hazard says why; the reason is repeated to the client and kept.")
        .hint(format!("Write \"{hazard} because <reason>\"."))
}

/// The candidate that a slip of the pen could have meant.
fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let near = |candidate: &&str| strsim::normalized_damerau_levenshtein(written, candidate);
    candidates
        .iter()
        .copied()
        .filter(|candidate| near(candidate) >= 0.5)
        .max_by(|a, b| near(a).total_cmp(&near(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_values() {
        for (name, value, expected) in [
            ("mode", "Observe", Setting::Mode(Mode::Observe)),
            ("max_stall", "50ms", Setting::MaxStall(Duration::from_millis(50))),
            ("max_stall", "250", Setting::MaxStall(Duration::from_millis(250))),
            ("max_stall", "10min", Setting::MaxStall(Duration::from_mins(10))),
            ("retry_for", "168h", Setting::RetryFor(Duration::from_hours(168))),
            ("retry_for", "10 min", Setting::RetryFor(Duration::from_mins(10))),
            ("retry_for", "1500", Setting::RetryFor(Duration::from_millis(1500))),
            ("retry_for", "0", Setting::RetryFor(Duration::ZERO)),
            ("in_transaction", " Refuse", Setting::InTransaction(InTransaction::Refuse)),
            ("deferred", "background", Setting::Deferred(Deferred::Background)),
            ("allow", "", Setting::Allow(vec![])),
            ("override", " OPS-7: it is us ", Setting::Override(Some("OPS-7: it is us".into()))),
            ("override", "", Setting::Override(None)),
        ] {
            assert_eq!(check(name, value), Ok(expected), "{name} = {value}");
        }
    }

    #[test]
    fn reasons_may_hold_commas() {
        let Ok(Setting::Allow(allowed)) =
            check("allow", "lock-queue because it is night, and quiet, opaque-ddl BECAUSE it is only a view")
        else {
            panic!("refused")
        };
        let shown: Vec<_> = allowed.iter().map(|it| format!("{}: {}", it.hazard, it.reason)).collect();
        assert_eq!(shown, ["lock-queue: it is night, and quiet", "opaque-ddl: it is only a view"]);
    }

    #[test]
    fn errors_say_what_would_be_valid() {
        let shown = |name, value| {
            let Err(notice) = check(name, value) else { panic!("{name} = {value} passed") };
            format!("{} {} | {}", notice.code, notice.message, notice.hint.unwrap_or_default())
        };
        let all = [
            shown("max_stal", "1s"),
            shown("colour", "red"),
            shown("mode", "observ"),
            shown("mode", "1"),
            shown("in_transaction", "defered"),
            shown("max_stall", "0"),
            shown("retry_for", "2 weeks"),
            shown("allow", "create-index-blockin because x"),
            shown("allow", "everything because x"),
            shown("allow", "lock-queue"),
            shown("allow", "lock-queue because"),
            shown("allow", "lock-queue because x, opaque-ddl"),
            shown("override", "because"),
            shown("override", "OPS-7: "),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        42704 unrecognized configuration parameter "lockkeeper.max_stal" | Perhaps you meant "lockkeeper.max_stall".
        42704 unrecognized configuration parameter "lockkeeper.colour" | Known settings: mode, max_stall, retry_for, allow, override, in_transaction, deferred, bulk_rows, rows_per_second.
        22023 invalid value for parameter "lockkeeper.mode": "observ" | Perhaps you meant "observe". Available values: enforce, observe, off.
        22023 invalid value for parameter "lockkeeper.mode": "1" | Available values: enforce, observe, off.
        22023 invalid value for parameter "lockkeeper.in_transaction": "defered" | Perhaps you meant "defer". Available values: defer, refuse, warn.
        22023 invalid value for parameter "lockkeeper.max_stall": "0" | Valid units are "us", "ms", "s", "min", "h" and "d"; a number alone is milliseconds.
        22023 invalid value for parameter "lockkeeper.retry_for": "2 weeks" | Valid units are "us", "ms", "s", "min", "h" and "d"; a number alone is milliseconds.
        42704 hazard "create-index-blockin" does not exist | Perhaps you meant "create-index-blocking".
        42704 hazard "everything" does not exist | "lockkeeper check --list" shows every hazard.
        22023 invalid value for parameter "lockkeeper.allow": "lock-queue" | Write "lock-queue because <reason>".
        22023 invalid value for parameter "lockkeeper.allow": "lock-queue" | Write "lock-queue because <reason>".
        22023 invalid value for parameter "lockkeeper.allow": "opaque-ddl" | Write "opaque-ddl because <reason>".
        22023 invalid value for parameter "lockkeeper.override": "because" | Write 'ticket: why', at most 500 bytes, or '' to end it.
        22023 invalid value for parameter "lockkeeper.override": "OPS-7:" | Write 'ticket: why', at most 500 bytes, or '' to end it.
        "#);
    }
}
