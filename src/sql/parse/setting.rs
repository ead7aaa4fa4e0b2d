//! `SET` and `RESET`, as far as lockkeeper must know of them.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, VariableSetKind, VariableSetStmt, a_const};

use super::found::Found;
use crate::sql::statement::{Kind, OurSetting, Setting};

const PREFIX: &str = "lockkeeper.";
const READ_ONLY: &str = "transaction_read_only";

/// What a `SET` or `RESET` changes.
pub(super) fn classify(statement: &VariableSetStmt) -> Found {
    let kind = VariableSetKind::try_from(statement.kind).unwrap_or(VariableSetKind::Undefined);
    if kind == VariableSetKind::VarResetAll {
        return Found::new("RESET", Kind::Setting(Setting::All));
    }
    let name = statement.name.to_ascii_lowercase();
    if let Some(ours) = name.strip_prefix(PREFIX) {
        let value = (kind == VariableSetKind::VarSetValue).then(|| value(&statement.args));
        let ours = OurSetting { name: ours.to_owned(), value, local: statement.is_local };
        return Found::new("SET", Kind::Setting(Setting::Ours(ours)));
    }
    if ["lock_timeout", "statement_timeout"].contains(&name.as_str()) {
        return Found::new("SET", Kind::Setting(Setting::Timeout));
    }
    if makes_read_only(statement, &name) {
        return Found::new("SET", Kind::Setting(Setting::ReadOnly));
    }
    Found::ordinary("SET")
}

/// Whether the open transaction may write nothing behind it (`variable.c`); a value that cannot be told counts.
fn makes_read_only(statement: &VariableSetStmt, name: &str) -> bool {
    match name {
        READ_ONLY => is_on(&value(&statement.args).to_ascii_lowercase()),
        "transaction" => are_read_only(&statement.args),
        _ => false,
    }
}

/// Whether `READ ONLY` is one of these modes of a transaction.
pub(super) fn are_read_only(modes: &[Node]) -> bool {
    modes.iter().any(|mode| match &mode.node {
        Some(NodeEnum::DefElem(mode)) if mode.defname == READ_ONLY => {
            is_on(&mode.arg.as_deref().and_then(constant).unwrap_or_default())
        }
        _ => false,
    })
}

fn is_on(value: &str) -> bool {
    !["0", "f", "false", "n", "no", "of", "off"].contains(&value)
}

/// The value as `SHOW` would print it: several are a list.
fn value(args: &[Node]) -> String {
    args.iter().filter_map(constant).collect::<Vec<_>>().join(", ")
}

fn constant(node: &Node) -> Option<String> {
    let Some(NodeEnum::AConst(constant)) = &node.node else { return None };
    Some(match constant.val.as_ref()? {
        a_const::Val::Ival(number) => number.ival.to_string(),
        a_const::Val::Fval(number) => number.fval.clone(),
        a_const::Val::Boolval(truth) => truth.boolval.to_string(),
        a_const::Val::Sval(text) => text.sval.clone(),
        a_const::Val::Bsval(bits) => bits.bsval.clone(),
    })
}
