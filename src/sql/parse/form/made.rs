//! What a `CREATE` makes beside tables, indexes and types, and the statement that takes it away again.

use pg_query::NodeEnum;
use pg_query::protobuf::RangeVar;

use super::{relation, relation_from};
use crate::base::relation::quote_identifier;
use crate::sql::form::Form;
use crate::sql::parse::names::string;

/// What is made; `None` for a statement that makes nothing, or perhaps nothing.
pub(super) fn of(node: &NodeEnum) -> Option<Form> {
    let dropped = |what: &str, name: &str| Form::Make {
        relation: None,
        back: Some(format!("DROP {what} {}", quote_identifier(name))),
    };
    Some(match node {
        NodeEnum::CreateSeqStmt(it) => named("SEQUENCE", it.sequence.as_ref().filter(|_| !it.if_not_exists)),
        NodeEnum::ViewStmt(it) => named("VIEW", it.view.as_ref().filter(|_| !it.replace)),
        NodeEnum::CreateSchemaStmt(it) if !it.if_not_exists && !it.schemaname.is_empty() => {
            dropped("SCHEMA", &it.schemaname)
        }
        NodeEnum::CreateExtensionStmt(it) if !it.if_not_exists => dropped("EXTENSION", &it.extname),
        NodeEnum::CreatePublicationStmt(it) => dropped("PUBLICATION", &it.pubname),
        NodeEnum::CreateStatsStmt(it) if !it.if_not_exists => {
            let parts: Vec<String> = it.defnames.iter().filter_map(string).collect();
            let back = relation_from(&parts).map(|name| format!("DROP STATISTICS {name}"));
            Form::Make { relation: None, back }
        }
        NodeEnum::CreateTrigStmt(it) if !it.replace => on("TRIGGER", &it.trigname, it.relation.as_ref()),
        NodeEnum::CreatePolicyStmt(it) => on("POLICY", &it.policy_name, it.table.as_ref()),
        NodeEnum::RuleStmt(it) if !it.replace => on("RULE", &it.rulename, it.relation.as_ref()),
        _ => return None,
    })
}

fn named(what: &str, made: Option<&RangeVar>) -> Form {
    let relation = made.map(relation);
    let back = relation.as_ref().map(|name| format!("DROP {what} {name}"));
    Form::Make { relation, back }
}

/// What belongs to a table.
fn on(what: &str, name: &str, table: Option<&RangeVar>) -> Form {
    let back = table.map(|table| format!("DROP {what} {} ON {}", quote_identifier(name), relation(table)));
    Form::Make { relation: None, back }
}
