//! Answers about how the rows of a table can be written in ranges.

use serde_json::Value;

use super::{constraint, list, named, oid, reference, text, texts, truth};
use crate::effects::facts::{FillFacts, Leaf, TableFacts, Unpublishable, WriteTrigger};

/// The leaf that one answer is about.
pub fn leaf(answer: &str) -> Option<Leaf> {
    let value: Value = serde_json::from_str(answer).ok()?;
    Some(Leaf {
        name: named(&value, "name")?,
        oid: oid(&value, "oid")?,
        foreign: truth(&value, "foreign"),
        fill: fill(value.get("fill")?),
        own: Box::new(TableFacts {
            name: named(&value, "name"),
            constraints: list(&value, "constraints", constraint),
            referenced_by: list(&value, "referenced_by", reference),
            ..TableFacts::default()
        }),
    })
}

pub(super) fn fill(value: &Value) -> FillFacts {
    FillFacts {
        key: texts(value, "key"),
        triggers: texts(value, "triggers"),
        rules: texts(value, "rules"),
        delete_rules: texts(value, "delete_rules"),
        statement_triggers: list(value, "statement_triggers", trigger),
        row_triggers: list(value, "row_triggers", trigger),
        lockable: truth(value, "lockable"),
        row_security: truth(value, "row_security"),
        rights_missing: texts(value, "rights_missing"),
        not_valid: texts(value, "not_valid"),
        publications: list(value, "publications", |one| {
            Some((text(one, "name")?.to_owned(), unpublishable(text(one, "wrong")?)?))
        }),
    }
}

fn trigger(value: &Value) -> Option<WriteTrigger> {
    let name = text(value, "name")?.to_owned();
    Some(WriteTrigger { name, update: truth(value, "update"), delete: truth(value, "delete") })
}

fn unpublishable(word: &str) -> Option<Unpublishable> {
    Some(match word {
        "no_identity" => Unpublishable::NoIdentity,
        "filter" => Unpublishable::Filter,
        "list" => Unpublishable::List,
        "generated" => Unpublishable::Generated,
        _ => return None,
    })
}
