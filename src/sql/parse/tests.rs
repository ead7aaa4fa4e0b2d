//! Tests of the reader, a file per subject.

use super::*;
use crate::sql::{Encoding, Triage, triage};

mod bodies;
mod corpus;
mod differential;
mod forms;
mod limits;
mod properties;

fn script(text: &str) -> Script {
    parse(text.as_bytes(), Encoding::Utf8)
}

/// One line per statement: what it is and what it locks.
fn show(text: &str) -> String {
    let shown = script(text).statements.iter().map(line).collect::<Vec<_>>().join("\n");
    if shown.is_empty() { "nothing".to_owned() } else { shown }
}

fn line(statement: &Statement) -> String {
    let kind = format!("{:?}", statement.kind).replace(['\n', ' '], "");
    let mut words = vec![statement.tag.to_owned(), kind];
    words.extend(statement.locks.iter().map(|lock| {
        let doubt = if lock.resolvable { "" } else { "?" };
        format!("{}{doubt}={:?}", lock.name, lock.mode).replace('"', "")
    }));
    if statement.reach == Reach::Beyond {
        words.push("and beyond".to_owned());
    }
    if statement.place == Place::OutsideOnly {
        words.push("no-tx".to_owned());
    }
    words.join(" | ")
}
