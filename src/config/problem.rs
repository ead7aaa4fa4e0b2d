//! What is wrong with a configuration: every problem at once, each with its place.

use std::fmt;

use super::key::Source;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub source: Source,
    /// The key's path, `listen.port`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what would be right.
    pub why: String,
}

/// Everything that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file's name, for problems that have a line.
    pub file: String,
    /// In the order of the file, then the environment, then the flags.
    pub problems: Vec<Problem>,
}

impl Problem {
    /// A problem with a key.
    pub fn new(source: Source, key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { source, key: key.into(), why: why.into() }
    }
}

impl Problems {
    /// Each problem on a line of its own.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| {
            let place = match &problem.source {
                Source::Default => self.file.clone(),
                Source::Line(line) => format!("{}:{line}", self.file),
                Source::Variable(name) => format!("environment variable {name}"),
                Source::Flag(flag) => (*flag).to_owned(),
            };
            let key = if problem.key.is_empty() { String::new() } else { format!(": {}", problem.key) };
            format!("{place}{key}: {}", problem.why)
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for Problems {}
