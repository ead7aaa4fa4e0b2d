//! Where the verifiers of roles come from, for logins in which the proxy must take part.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::upstream::ask::NoAnswer;
use crate::upstream::scram::{Unusable, Verifier};
use crate::upstream::{Problem, Upstream};

/// What the query is when none is given.
pub const DEFAULT_QUERY: &str =
    "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname OPERATOR(pg_catalog.=) $1";

/// What the file is for, in messages.
const WHAT: &str = "password verifiers";

/// Why a verifier could not be looked up.
#[derive(Debug, Error)]
pub enum NotFound {
    /// The control connection failed.
    #[error("the verifier query failed")]
    Query(#[from] NoAnswer),
    /// There is no control connection to ask by.
    #[error("the verifier query needs a control connection")]
    NoControl,
    /// The file cannot be read any more.
    #[error("the verifier file cannot be used")]
    File(#[from] Problem),
}

/// Where verifiers come from, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifiers {
    /// Nowhere: logins pass through or fail.
    None,
    /// A file.
    File(PathBuf),
    /// A query under the proxy's own role; the user is `$1`.
    Query(String),
}

/// Where verifiers come from, ready for use.
#[derive(Debug)]
pub enum VerifierSource {
    /// Nowhere.
    None,
    /// A file as pgbouncer's `auth_file`.
    File {
        /// Where it is, to be read again when a verifier turns out to be old.
        path: PathBuf,
        /// By user.
        verifiers: HashMap<String, Verifier>,
        /// Users whose entry is of another kind.
        unusable: Vec<String>,
    },
    /// A query under the proxy's own role. It is asked for every login: nothing is remembered, so nothing can be out of date,
    /// and a user who does not exist costs the same time as one who does.
    Query(String),
}

impl VerifierSource {
    /// Reads the file, if it is one.
    pub fn load(settings: &Verifiers) -> Result<Self, Problem> {
        match settings {
            Verifiers::None => Ok(Self::None),
            Verifiers::Query(query) => Ok(Self::Query(query.clone())),
            Verifiers::File(path) => {
                let (verifiers, unusable) = read(path)?;
                Ok(Self::File { path: path.clone(), verifiers, unusable })
            }
        }
    }

    /// What an operator should know at the start.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::None | Self::Query(_) => Vec::new(),
            Self::File { path, unusable, .. } => unusable
                .iter()
                .map(|user| {
                    format!("{}: the entry of user {user:?} is not a SCRAM-SHA-256 verifier", path.display())
                })
                .collect(),
        }
    }

    /// The verifier of a user; `None` for one who has none.
    pub(super) async fn find(
        &self,
        user: &str,
        upstream: &Upstream,
        host: usize,
    ) -> Result<Option<Verifier>, NotFound> {
        match self {
            Self::None => Ok(None),
            Self::File { verifiers, .. } => Ok(verifiers.get(user).cloned()),
            Self::Query(query) => {
                let asker = upstream.asker(host).ok_or(NotFound::NoControl)?;
                let rows = asker.ask(query, &[user]).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let text: Option<String> = row.try_get(0).map_err(NoAnswer::from)?;
                // A role with another kind of password cannot be challenged by SCRAM in the first place.
                Ok(text.and_then(|text| text.parse().ok()))
            }
        }
    }

    /// The verifier as it is now, after the one found before turned out to be older than the server's.
    pub(in crate::serve) async fn find_again(&self, user: &str) -> Result<Option<Verifier>, NotFound> {
        let Self::File { path, .. } = self else { return Ok(None) };
        let (path, user) = (path.clone(), user.to_owned());
        let reading = tokio::task::spawn_blocking(move || Ok(read(&path)?.0.remove(&user)));
        reading.await.unwrap_or(Ok(None))
    }
}

type Read = (HashMap<String, Verifier>, Vec<String>);

fn read(path: &Path) -> Result<Read, Problem> {
    let path = path.to_owned();
    match fs::read_to_string(&path) {
        Err(source) => Err(Problem::Unreadable { what: WHAT, path, source }),
        Ok(text) => parse(&text).map_err(|line| {
            // What the line holds is not repeated.
            let why = format!("line {line} is not \"user\" \"SCRAM-SHA-256$...\"");
            Problem::Unusable { what: WHAT, path, why }
        }),
    }
}

/// Reads lines of `"user" "verifier"`; a quote inside is written twice, a semicolon begins a comment. The error is the line.
fn parse(text: &str) -> Result<Read, usize> {
    let mut verifiers = HashMap::new();
    let mut unusable = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        let entry = quoted(line).and_then(|(user, rest)| Some((user, quoted(rest.trim_start())?.0)));
        let (user, verifier) = entry.ok_or(index + 1)?;
        match verifier.parse() {
            Ok(verifier) => {
                verifiers.insert(user, verifier);
            }
            Err(Unusable::OtherKind | Unusable::Malformed) => unusable.push(user),
        }
    }
    Ok((verifiers, unusable))
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut value = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        value.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdA==$\
        BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    #[test]
    fn files_are_read_as_pgbouncer_writes_them() {
        let text = format!(
            "; comment\n\n\"app\" \"{VERIFIER}\"\n  \"a\"\"b\"  \"{VERIFIER}\" rest\n\"old\" \"md5abc\"\n"
        );
        let (verifiers, unusable) = parse(&text).unwrap();
        let mut users: Vec<_> = verifiers.keys().map(String::as_str).collect();
        users.sort_unstable();
        assert_eq!(users, ["a\"b", "app"]);
        assert_eq!(unusable, ["old"]);
    }

    #[test]
    fn bad_lines_are_named_and_not_shown() {
        for (text, line) in [("app x", 1), ("\"app\" \"x", 1), ("\"a\" \"b\"\n\"app\"", 2), ("\"", 1)] {
            assert_eq!(parse(text).unwrap_err(), line, "{text}");
        }
    }
}
