//! A tree as a row of words: whatever stands in it is found, wherever that is, and two trees are compared without the places of
//! their words.
//!
//! The crate's own walk over its trees does not reach every expression.

use pg_query::NodeEnum;

use crate::base::RelationName;
use crate::sql::form::FunctionName;

/// One word of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// A field or the name of a node.
    Name(String),
    /// A string.
    Text(String),
}

/// The words of a tree, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outline(Vec<Word>);

/// Fields that say where something stands, not what it is.
const PLACES: [&str; 6] =
    ["location", "stmt_location", "stmt_len", "list_start", "list_end", "rexpr_list_start"];

/// A string stands within so many words of its constant's beginning.
const CONSTANT_WORDS_MAX: usize = 24;

impl Outline {
    pub(super) fn of(node: &NodeEnum) -> Self {
        let text = format!("{node:?}");
        let mut words = Vec::new();
        let mut rest = text.char_indices().peekable();
        while let Some((start, first)) = rest.next() {
            if first == '"' {
                words.push(Word::Text(string(&mut rest)));
                continue;
            }
            if first.is_whitespace() {
                continue;
            }
            let mut end = start + first.len_utf8();
            if is_of_name(first) {
                while let Some((at, next)) = rest.next_if(|(_, next)| is_of_name(*next)) {
                    end = at + next.len_utf8();
                }
            }
            words.push(Word::Name(text.get(start..end).unwrap_or_default().to_owned()));
        }
        Self(without_places(words))
    }

    /// Every relation that is named as one.
    pub(super) fn relations(&self) -> Vec<RelationName> {
        let at_relations = self.behind("RangeVar");
        at_relations
            .filter_map(|words| {
                let field = |name: &str| {
                    let at = words.iter().position(|word| matches!(word, Word::Name(it) if it == name))?;
                    words.iter().skip(at).find_map(text).cloned()
                };
                let schema = field("schemaname").filter(|schema| !schema.is_empty());
                Some(RelationName { schema, name: field("relname")? })
            })
            .collect()
    }

    /// The names that a `WITH` gives to its queries.
    pub(super) fn queries(&self) -> Vec<String> {
        self.behind("CommonTableExpr").filter_map(|words| words.iter().find_map(text).cloned()).collect()
    }

    /// The functions that are called by their names.
    pub(super) fn functions(&self) -> Vec<FunctionName> {
        let mut found = Vec::new();
        for words in self.behind("FuncCall") {
            let name = words.iter().take_while(|word| !matches!(word, Word::Name(it) if it == "args"));
            let parts: Vec<&String> = name.filter_map(text).collect();
            let Some((name, schemas)) = parts.split_last() else { continue };
            let schema = schemas.last().map(|schema| (*schema).clone());
            let function = FunctionName { schema, name: (*name).clone() };
            if !found.contains(&function) {
                found.push(function);
            }
        }
        found
    }

    /// Whether there is a node of that name.
    pub(super) fn has(&self, node: &str) -> bool {
        self.behind(node).next().is_some()
    }

    /// Whether there is a node of that name of which this is true.
    pub(super) fn any(&self, node: &str, holds: impl Fn(Fields<'_>) -> bool) -> bool {
        self.behind(node).map(Fields).any(holds)
    }

    /// How many nodes of that name there are of which this is true.
    pub(super) fn count(&self, node: &str, holds: impl Fn(Fields<'_>) -> bool) -> usize {
        self.behind(node).map(Fields).filter(|fields| holds(*fields)).count()
    }

    /// The parts of the names of columns, each from the first on; the last is `*` where that stands for all.
    pub(super) fn column_names(&self) -> impl Iterator<Item = Vec<&str>> {
        self.behind("ColumnRef").map(|words| {
            let mut parts: Vec<&str> = Fields(words).all().filter_map(part).collect();
            // The name of the node, and that of what is in it.
            parts.dedup_by(|next, before| *next == "*" && *before == "*");
            parts
        })
    }

    /// The last parts of the names of columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &String> {
        self.behind("ColumnRef").filter_map(|words| Fields(words).all().filter_map(text).last())
    }

    /// The strings among its constants.
    pub(super) fn constants(&self) -> impl Iterator<Item = &String> {
        self.behind("AConst").filter_map(|words| words.iter().take(CONSTANT_WORDS_MAX).find_map(text))
    }

    /// The words behind each node of that name.
    fn behind(&self, node: &str) -> impl Iterator<Item = &[Word]> {
        self.0.windows(2).enumerate().filter_map(move |(at, pair)| match pair {
            [Word::Name(name), Word::Name(open)] if name == node && open == "{" => self.0.get(at + 1..),
            _ => None,
        })
    }
}

/// What stands in a node; it begins with the brace that opens it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [Word]);

impl<'a> Fields<'a> {
    /// All words up to the brace that closes it.
    fn all(self) -> impl Iterator<Item = &'a Word> {
        let mut depth = 0_i32;
        self.0.iter().take_while(move |word| {
            depth += step(word);
            depth > 0
        })
    }

    /// Whether it has that field, and something is in it: a text or list is not empty, and it is not a list of nothing.
    pub(super) fn has(self, field: &str) -> bool {
        const NOTHING: [&[&str]; 3] =
            [&["None"], &["[", "]"], &["[", "Node", "{", "node", ":", "None", "}", "]"]];
        let Some(behind) = self.behind(field) else { return false };
        let is = |words: &&[&str]| {
            let same = |(word, expected): (&Word, &&str)| matches!(word, Word::Name(it) if it == expected);
            behind.iter().zip(words.iter()).all(same)
        };
        !matches!(behind.first(), Some(Word::Text(text)) if text.is_empty()) && !NOTHING.iter().any(is)
    }
}

impl<'a> Fields<'a> {
    /// The words of a field and what follows it.
    fn behind(self, field: &str) -> Option<&'a [Word]> {
        let mut depth = 0_i32;
        let own = self.all().position(|word| {
            let found = depth == 1 && matches!(word, Word::Name(name) if name == field);
            depth += step(word);
            found
        });
        own.and_then(|at| self.0.get(at + 2..))
    }

    /// Whether a field has that value, which is a word.
    pub(super) fn is(self, field: &str, value: &str) -> bool {
        let behind = self.behind(field);
        matches!(behind.and_then(<[Word]>::first), Some(Word::Name(name)) if name == value)
    }

    /// The first node of that name in a field or behind it.
    pub(super) fn first(self, field: &str, node: &str) -> Option<Self> {
        let behind = self.behind(field)?;
        let at = behind.windows(2).position(
            |pair| matches!(pair, [Word::Name(name), Word::Name(open)] if name == node && open == "{"),
        )?;
        behind.get(at + 1..).map(Self)
    }
}

/// How much deeper it is behind that word.
fn step(word: &Word) -> i32 {
    match word {
        Word::Name(it) if matches!(it.as_str(), "{" | "[" | "(") => 1,
        Word::Name(it) if matches!(it.as_str(), "}" | "]" | ")") => -1,
        _ => 0,
    }
}

/// A part of the name of a column.
fn part(word: &Word) -> Option<&str> {
    match word {
        Word::Text(text) => Some(text),
        Word::Name(name) if name == "AStar" => Some("*"),
        Word::Name(_) => None,
    }
}

const fn text(word: &Word) -> Option<&String> {
    match word {
        Word::Text(text) => Some(text),
        Word::Name(_) => None,
    }
}

const fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// A string up to its closing quote, as `Debug` writes it.
fn string(rest: &mut impl Iterator<Item = (usize, char)>) -> String {
    let mut raw = String::new();
    while let Some((_, next)) = rest.next() {
        match next {
            '"' => break,
            '\\' => match rest.next() {
                Some((_, escaped @ ('"' | '\'' | '\\'))) => raw.push(escaped),
                Some((_, other)) => raw.extend(['\\', other]),
                None => break,
            },
            other => raw.push(other),
        }
    }
    raw
}

fn without_places(words: Vec<Word>) -> Vec<Word> {
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let is_place = matches!(&word, Word::Name(name) if PLACES.contains(&name.as_str()));
        kept.push(word);
        if is_place {
            // The colon, a sign, the number.
            let is_part = |word: &Word| match word {
                Word::Name(name) => {
                    matches!(name.as_str(), ":" | "-") || name.bytes().all(|it| it.is_ascii_digit())
                }
                Word::Text(_) => false,
            };
            while words.next_if(is_part).is_some() {}
        }
    }
    kept
}
