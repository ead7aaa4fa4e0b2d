//! Answers of the console as rows.

use serde_json::Value;

use super::command::HELP;
use crate::wire::frame::{put, put_string};
use crate::wire::kind::server as kind;

/// `text`, from `pg_type.dat`.
const TEXT_OID: u32 = 25;

/// Rows of texts; `None` is NULL.
#[derive(Debug)]
pub(super) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// Appends a `RowDescription` and a `DataRow` for each row.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
        put(out, kind::ROW_DESCRIPTION, |out| {
            out.extend_from_slice(&count(self.columns.len()));
            for name in self.columns {
                put_string(out, name.as_bytes());
                // No table, no column of one.
                out.extend_from_slice(&[0; 6]);
                out.extend_from_slice(&TEXT_OID.to_be_bytes());
                // Any length, no modifier, text.
                out.extend_from_slice(&(-1_i16).to_be_bytes());
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                out.extend_from_slice(&[0; 2]);
            }
        });
        for row in &self.rows {
            put(out, kind::DATA_ROW, |out| {
                out.extend_from_slice(&count(row.len()));
                for value in row {
                    let length =
                        value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(value.as_deref().unwrap_or_default().as_bytes());
                }
            });
        }
    }
}

/// What there is to say.
pub(super) fn help() -> Table {
    let row = |(command, what): (&str, &str)| vec![Some(command.to_owned()), Some(what.to_owned())];
    Table { columns: &["command", "what"], rows: HELP.into_iter().map(row).collect() }
}

/// What is held, what runs, and what has run.
pub(super) fn statements(status: &Value) -> Table {
    const COLUMNS: [&str; 13] = [
        "id",
        "state",
        "statement",
        "user",
        "database",
        "application_name",
        "process",
        "began",
        "ended",
        "step",
        "at",
        "stall_at_most_ms",
        "override",
    ];
    let of = |list: &str| at(status, list).as_array().cloned().unwrap_or_default();
    let all = ["held", "running", "recent"].into_iter().flat_map(of);
    Table { columns: &COLUMNS, rows: all.map(|one| fields(&one, &COLUMNS)).collect() }
}

/// The steps of what runs and has run.
pub(super) fn steps(status: &Value) -> Table {
    const COLUMNS: [&str; 7] = ["id", "step", "statement", "lock", "state", "took_ms", "stall_at_most_ms"];
    let of = |list: &str| at(status, list).as_array().cloned().unwrap_or_default();
    let rows = ["running", "recent"].into_iter().flat_map(of).flat_map(|entry| {
        let steps = entry.get("begun_steps").and_then(Value::as_array).cloned().unwrap_or_default();
        let id = entry.get("id").map(ToString::to_string);
        steps.into_iter().enumerate().map(move |(at, step)| {
            let first = [id.clone(), Some((at + 1).to_string())];
            first.into_iter().chain(fields(&step, COLUMNS.get(2..).unwrap_or_default())).collect()
        })
    });
    Table { columns: &COLUMNS, rows: rows.collect() }
}

/// What goes in batches.
pub(super) fn bulk(status: &Value) -> Table {
    const COLUMNS: [&str; 11] = [
        "id",
        "statement",
        "user",
        "database",
        "rows",
        "percent",
        "rows_per_second",
        "rows_per_second_max",
        "speed_percent",
        "seconds_left",
        "held_back",
    ];
    let running = at(status, "running").as_array().cloned().unwrap_or_default();
    let row = |entry: &Value| {
        let progress = entry.get("progress").filter(|progress| !progress.is_null())?;
        let holds = progress.get("held_back").and_then(Value::as_array).cloned().unwrap_or_default();
        let words: Vec<&str> =
            holds.iter().filter_map(|hold| hold.get("words").and_then(Value::as_str)).collect();
        let known = fields(entry, COLUMNS.get(..4).unwrap_or_default()).into_iter();
        let measured = fields(progress, COLUMNS.get(4..10).unwrap_or_default());
        let why = Some(words.join(", ").replace('\0', "")).filter(|words| !words.is_empty());
        Some(known.chain(measured).chain([why]).collect())
    };
    Table { columns: &COLUMNS, rows: running.iter().filter_map(row).collect() }
}

/// The freeze, if there is one.
pub(super) fn freeze(status: &Value) -> Table {
    const COLUMNS: [&str; 4] = ["reason", "by", "since", "until"];
    let freeze = at(status, "freeze");
    let rows = if freeze.is_null() { Vec::new() } else { vec![fields(freeze, &COLUMNS)] };
    Table { columns: &COLUMNS, rows }
}

/// The windows that are open, and the next one.
pub(super) fn peak(status: &Value) -> Table {
    const COLUMNS: [&str; 6] = ["window", "opens", "until", "strong", "bulk", "destructive"];
    let peak = at(status, "peak");
    let open = peak.pointer("/open").and_then(Value::as_array).cloned().unwrap_or_default();
    let next = peak.pointer("/next").filter(|next| !next.is_null()).cloned();
    Table { columns: &COLUMNS, rows: open.iter().chain(&next).map(|one| fields(one, &COLUMNS)).collect() }
}

fn at<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer.get("ok").and_then(|ok| ok.get(name)).unwrap_or(&Value::Null)
}

fn fields(one: &Value, columns: &[&str]) -> Vec<Option<String>> {
    let text = |name: &&str| match one.get(*name)? {
        Value::Null => None,
        // A NUL would end the text early for some clients.
        Value::String(text) => Some(text.replace('\0', "")),
        other => Some(other.to_string()),
    };
    columns.iter().map(text).collect()
}
