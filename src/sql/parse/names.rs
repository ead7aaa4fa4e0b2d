//! Names out of the tree, and which of them can be looked up.

use std::collections::HashSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{IndexStmt, Node, RangeVar};

use crate::base::{LockMode, RelationName};
use crate::sql::encoding::{Dialect, Encoding};
use crate::sql::lex::{Lexer, TokenKind};
use crate::sql::statement::Lock;

/// Which words of a text hold characters that the parser saw only a stand-in of.
pub(super) struct Names {
    tainted: HashSet<String>,
    /// What is not ASCII came by an escape (`U&"\00e4"`), and is not said to a server that expects another encoding.
    ascii_only: bool,
}

impl Names {
    /// `shadow` is what the parser reads of `text`.
    pub(super) fn new(shadow: &str, text: &[u8], dialect: Dialect) -> Self {
        let mut places = Vec::new();
        dialect.encoding.shadow_marked(text, &mut |start, _| places.push(start));
        let mut tainted = HashSet::new();
        let ascii_only = dialect.encoding != Encoding::Utf8;
        if places.is_empty() {
            return Self { tainted, ascii_only };
        }
        for token in Lexer::new(shadow, dialect.standard_conforming_strings) {
            let first = places.partition_point(|place| *place < token.start);
            if places.get(first).is_none_or(|place| *place >= token.end) {
                continue;
            }
            match token.kind {
                TokenKind::Word => tainted.insert(token.text(shadow).to_ascii_lowercase()),
                TokenKind::Quoted => {
                    tainted.insert(token.text(shadow).trim_matches('"').replace("\"\"", "\""))
                }
                _ => false,
            };
        }
        Self { tainted, ascii_only }
    }

    /// A lock on a relation that the tree names.
    pub(super) fn lock(&self, relation: Option<&RangeVar>, mode: LockMode) -> Option<Lock> {
        let relation = relation?;
        let schema = Some(relation.schemaname.clone()).filter(|schema| !schema.is_empty());
        let lock = self.lock_on(RelationName { schema, name: relation.relname.clone() }, mode);
        Some(Lock { only: !relation.inh, ..lock })
    }

    /// A lock on a name that the tree gives as a list of strings.
    pub(super) fn lock_list(&self, parts: &[String], mode: LockMode) -> Option<Lock> {
        let name = match parts {
            [name] => RelationName::bare(name),
            [.., schema, name] => RelationName::qualified(schema, name),
            [] => return None,
        };
        Some(self.lock_on(name, mode))
    }

    /// The index that a statement makes, which lives in the schema of its table; `None` when it cannot be looked up.
    pub(super) fn index(&self, statement: &IndexStmt) -> Option<RelationName> {
        let table = self.lock(statement.relation.as_ref(), LockMode::Share)?;
        let name = RelationName { schema: table.name.schema, name: statement.idxname.clone() };
        let named = self.lock_on(name, LockMode::Share);
        named.resolvable.then_some(named.name)
    }

    fn lock_on(&self, name: RelationName, mode: LockMode) -> Lock {
        let readable = |part: &String| !self.is_tainted(part);
        let resolvable = readable(&name.name) && name.schema.as_ref().is_none_or(readable);
        Lock { name, resolvable, mode, only: false }
    }

    /// Identifiers are cut at 63 bytes, so that a tainted word may be longer than the name made of it.
    fn is_tainted(&self, part: &str) -> bool {
        const IDENTIFIER_BYTES_MAX: usize = 63;
        (self.ascii_only && !part.is_ascii())
            || self.tainted.contains(part)
            || (part.len() + 3 > IDENTIFIER_BYTES_MAX
                && !self.tainted.is_empty()
                && self.tainted.iter().any(|word| word.starts_with(part)))
    }
}

/// The strings of a list node, `a.b.c`.
pub(super) fn strings(node: &Node) -> Vec<String> {
    match &node.node {
        Some(NodeEnum::List(list)) => list.items.iter().filter_map(string).collect(),
        Some(NodeEnum::String(single)) => vec![single.sval.clone()],
        Some(NodeEnum::TypeName(name)) => name.names.iter().filter_map(string).collect(),
        _ => Vec::new(),
    }
}

/// The text of a string node.
pub(super) fn string(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::String(text)) => Some(text.sval.clone()),
        _ => None,
    }
}

/// The relation of a range variable node.
pub(super) fn range_var(node: &Node) -> Option<&RangeVar> {
    match &node.node {
        Some(NodeEnum::RangeVar(relation)) => Some(relation),
        _ => None,
    }
}

/// What an option list says of `name`: `None` when it does not name it (`defGetBoolean` in `define.c`).
pub(super) fn option_is_on(options: &[Node], name: &str) -> Option<bool> {
    options.iter().rev().find_map(|option| match &option.node {
        Some(NodeEnum::DefElem(option)) if option.defname == name => {
            Some(option.arg.as_ref().is_none_or(|arg| is_true(arg)))
        }
        _ => None,
    })
}

fn is_true(arg: &Node) -> bool {
    match &arg.node {
        Some(NodeEnum::Integer(number)) => number.ival != 0,
        Some(NodeEnum::Boolean(truth)) => truth.boolval,
        Some(NodeEnum::String(text)) => !matches!(text.sval.to_ascii_lowercase().as_str(), "false" | "off"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Encoding;

    #[test]
    fn words_with_stand_ins_cannot_be_looked_up() {
        let text = b"ALTER TABLE na\xEFve RENAME TO \"x\xE9\"";
        let shadow = Encoding::SingleByte.shadow(text);
        let names = Names::new(&shadow, text, Encoding::SingleByte.into());
        assert!(names.is_tainted("naxve") && names.is_tainted("xx"));
        assert!(!names.is_tainted("table"));
    }

    #[test]
    fn utf8_names_can() {
        let text = "ALTER TABLE größe".as_bytes();
        let names = Names::new("ALTER TABLE größe", text, Encoding::Utf8.into());
        assert!(!names.is_tainted("größe"));
    }
}
