//! The text that `explain` is given, or why it cannot be explained.

use std::ffi::OsStr;
use std::io::Read as _;

use anyhow::Context as _;

use crate::sql::parse::complaint;
use crate::sql::{Dialect, Encoding, Readable, Script, parse};

/// Reads the statements of an argument; `-` is standard input.
pub(super) fn read(argument: &OsStr) -> anyhow::Result<Script> {
    let mut bytes = argument.as_encoded_bytes().to_vec();
    if argument == "-" {
        bytes.clear();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        anyhow::anyhow!(
            "the statement is not UTF-8 from byte {} on; convert it first",
            error.valid_up_to() + 1
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = text.find('\0') {
        anyhow::bail!("there is a NUL byte at {}, which Postgres does not take", place(text, at));
    }
    let dialect = Dialect::from(Encoding::Utf8);
    let script = parse(text.as_bytes(), dialect);
    if script.readable == Readable::Rejected {
        let Some(refused) = complaint(text, dialect) else { anyhow::bail!("the statement cannot be read") };
        let at = refused.at.map(|at| format!(" at {}", place(text, at))).unwrap_or_default();
        anyhow::bail!("the statement cannot be read{at}: {}", refused.message);
    }
    if script.statements.is_empty() {
        anyhow::bail!("there is no statement to explain; give one as an argument, or `-` and standard input");
    }
    Ok(script)
}

fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}
