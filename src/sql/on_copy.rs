//! A statement about a table, said of a temporary table of the same name: so that a server can be asked what it thinks of it.
//!
//! Only the words that must differ do; the rest stays to the letter, and the trees of both texts prove it.

use std::ops::Range;

use super::encoding::Encoding;
use super::form::{Action, AlterTable, Altered, ConstraintKind, Form};
use super::lex::{Lexer, Token, TokenKind};
use super::parse::differs_only_by_table;
use super::statement::{Script, Statement};
use crate::base::RelationName;
use crate::base::name::written;

/// The schema of temporary tables, in any session.
const SCHEMA: &str = "pg_temp";

/// The statement, said of the copy.
#[derive(Clone, PartialEq, Eq)]
pub struct OnCopy {
    /// Its text.
    pub sql: String,
    /// The table that it was about.
    pub table: RelationName,
    /// What it calls an index or a constraint.
    pub names: Vec<String>,
    /// By which method it makes an index.
    pub method: String,
    /// The text as it was sent.
    sent: String,
    /// Where the table stands in that text, and where in this one.
    places: (Range<usize>, Range<usize>),
}

impl OnCopy {
    /// `None` where it is no statement that a copy would do for, or the text cannot be changed beyond doubt.
    ///
    /// A copy is empty, and has the columns of the table and nothing else of it. Its row type is another one, so that nothing may speak
    /// of that: it has the name of the table.
    pub fn of(script: &Script) -> Option<Self> {
        let [statement] = script.statements.as_slice() else { return None };
        let sent = std::str::from_utf8(script.text.as_bytes()).ok()?;
        if !sent.is_ascii() && script.dialect.encoding != Encoding::Utf8 {
            return None;
        }
        let (table, names, method) = match &statement.form {
            Form::CreateIndex(index) => (&index.table, Vec::new(), index.method.clone()),
            Form::AlterTable(alter) => (&alter.target, names(alter)?, "btree".to_owned()),
            _ => return None,
        };
        let words = Words::of(sent, script, statement)?;
        if says(words.behind, &table.name) {
            return None;
        }
        let mut sql = String::with_capacity(sent.len());
        sql.push_str(sent.get(..words.blank.start)?);
        sql.extend(std::iter::repeat_n(' ', words.blank.len()));
        sql.push_str(sent.get(words.blank.end..words.table.start)?);
        let name = format!("{SCHEMA}.{}", written(&table.name));
        let there = words.table.start..words.table.start + name.len();
        let (old, new) = (padded(sent, &words.table, name.len())?, {
            sql.push_str(&name);
            let short = words.table.len().saturating_sub(name.len());
            format!("{sql}{}{}", " ".repeat(short), sent.get(words.table.end..)?)
        });
        sql.push_str(sent.get(words.table.end..)?);
        differs_only_by_table(&old, &new, SCHEMA, script.dialect).then(|| Self {
            sql,
            table: table.clone(),
            names,
            method,
            sent: sent.to_owned(),
            places: (words.table, there),
        })
    }

    /// Where a place in its text is in the text as it was sent; both in characters, the first of which is 1, as in errors of the server.
    pub fn place_as_sent(&self, there: usize) -> Option<usize> {
        let at = self.sql.char_indices().nth(there.checked_sub(1)?).map_or(self.sql.len(), |(at, _)| at);
        let (sent, own) = &self.places;
        let at = match at {
            at if at >= own.end => at - own.end + sent.end,
            at => at.min(sent.start),
        };
        Some(self.sent.get(..at)?.chars().count() + 1)
    }
}

/// What an `ALTER TABLE` calls what it makes; `None` where a copy would not do for it.
fn names(alter: &AlterTable) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for part in &alter.parts {
        match &part.action {
            Action::AddColumn { column, .. } => {
                // A temporary table may refer to such only.
                if column.constraints.iter().any(|it| it.kind == ConstraintKind::Foreign) {
                    return None;
                }
                names.extend(column.constraints.iter().filter_map(|it| it.name.clone()));
            }
            Action::AddConstraint(constraint) => {
                let kinds = [ConstraintKind::Unique, ConstraintKind::PrimaryKey, ConstraintKind::Check];
                if !kinds.contains(&constraint.kind) || constraint.using_index.is_some() {
                    return None;
                }
                names.extend(constraint.name.clone());
            }
            Action::SetNotNull(_)
            | Action::DropNotNull(_)
            | Action::SetDefault(_)
            | Action::DropDefault(_) => {}
            _ => return None,
        }
    }
    (alter.object == Altered::Table).then_some(names)
}

/// Whether a text may say a name.
fn says(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    if text.contains("u&") {
        // Any name could be written so.
        return true;
    }
    let of_word = |character: char| character.is_alphanumeric() || character == '_';
    if name.chars().all(of_word) {
        text.split(|character| !of_word(character)).any(|word| word == name)
    } else {
        name.contains('"') || text.contains(&name)
    }
}

/// The text with so many blanks behind a place in it that what stands there has this length, if it is shorter.
fn padded(text: &str, place: &Range<usize>, length: usize) -> Option<String> {
    let (head, tail) = text.split_at_checked(place.end)?;
    Some(format!("{head}{}{tail}", " ".repeat(length.saturating_sub(place.len()))))
}

/// The places in a text that are to be changed.
struct Words<'a> {
    /// What is left out: in a `CREATE INDEX` everything between `INDEX` and `ON`.
    blank: Range<usize>,
    /// The table, with its schema.
    table: Range<usize>,
    /// What stands behind it.
    behind: &'a str,
}

impl<'a> Words<'a> {
    fn of(sent: &'a str, script: &Script, statement: &Statement) -> Option<Self> {
        let body = sent.get(statement.span.clone())?;
        let tokens: Vec<Token> = Lexer::new(body, script.dialect.standard_conforming_strings)
            .filter(|token| !matches!(token.kind, TokenKind::Comment(_)))
            .collect();
        let find = |word: &str, from: usize| {
            let rest = tokens.get(from..)?;
            Some(from + rest.iter().position(|token| token.is_word(body, word))?)
        };
        let (blank, mut at) = if matches!(statement.form, Form::CreateIndex(_)) {
            let index = find("index", 0)?;
            let on = find("on", index + 1)?;
            (tokens.get(index)?.end..tokens.get(on)?.start, on + 1)
        } else {
            let table = find("table", 0)?;
            (0..0, table + 1)
        };
        for word in ["if", "exists", "only"] {
            at += usize::from(tokens.get(at).is_some_and(|token| token.is_word(body, word)));
        }
        let first = tokens.get(at)?;
        let mut last = first;
        while tokens.get(at + 1).is_some_and(|token| token.text(body) == ".") {
            at += 2;
            last = tokens.get(at)?;
        }
        let start = statement.span.start;
        let place = |range: Range<usize>| range.start + start..range.end + start;
        let blank = if blank.is_empty() { start..start } else { place(blank) };
        Some(Self { blank, table: place(first.start..last.end), behind: body.get(last.end..)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    fn on_copy(sql: &str) -> Option<OnCopy> {
        OnCopy::of(&parse(sql.as_bytes(), Encoding::Utf8))
    }

    #[test]
    fn only_the_table_and_what_may_be_in_the_way_differ() {
        for (sql, expected) in [
            ("CREATE INDEX ON t (a)", "CREATE INDEX ON pg_temp.t (a)"),
            (
                "create unique index concurrently if not exists größe on \"S\" . \"T t\" * using gin (a x) where b -- y",
                "create unique index on pg_temp.\"T t\" * using gin (a x) where b -- y",
            ),
            (
                "/* on */ ALTER TABLE IF EXISTS ONLY sales.t ADD CONSTRAINT k UNIQUE (a), ADD b int",
                "/* on */ ALTER TABLE IF EXISTS ONLY pg_temp.t ADD CONSTRAINT k UNIQUE (a), ADD b int",
            ),
            (
                "ALTER TABLE t ADD b uuid DEFAULT f('/* t_ */')",
                "ALTER TABLE pg_temp.t ADD b uuid DEFAULT f('/* t_ */')",
            ),
        ] {
            let copy = on_copy(sql).expect(sql).sql;
            assert_eq!(copy.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{sql}");
        }
    }

    #[test]
    fn what_a_copy_would_not_do_for_is_left() {
        for sql in [
            // The row type of the table.
            "CREATE INDEX ON t (full_name(t))",
            "CREATE INDEX ON public.t ((ROW(a)::\"t\"))",
            "CREATE INDEX ON t (f(U&\"\\0074\"))",
            // What may mean something to the table alone.
            "CREATE INDEX ON t (a) WITH (some.thing = 1)",
            "ALTER TABLE t ADD b int REFERENCES o",
            "ALTER TABLE t ADD b int, ADD FOREIGN KEY (b) REFERENCES o",
            "ALTER TABLE t ADD UNIQUE USING INDEX i",
            "ALTER TABLE t ADD EXCLUDE (a WITH =)",
            "ALTER TABLE t DROP a",
            "DROP INDEX t",
            "CREATE INDEX ON t (a); SELECT 1",
        ] {
            assert!(on_copy(sql).is_none(), "{sql}");
        }
        let latin = parse(b"CREATE INDEX ON t (\xfc)", Encoding::SingleByte);
        assert!(OnCopy::of(&latin).is_none());
    }

    #[test]
    fn places_are_told_as_in_the_text_that_was_sent() {
        let check = |sql: &str, word: &str| {
            let copy = on_copy(sql).expect(sql);
            let of = |text: &str| text.rsplit_once(word).expect(word).0.chars().count() + 1;
            assert_eq!(copy.place_as_sent(of(&copy.sql)), Some(of(sql)), "{}", copy.sql);
        };
        check("CREATE INDEX größe ON t (a, nothing)", "nothing");
        check("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a_long_schema.\"Tä\" (a, nothing)", "nothing");
        check("ALTER TABLE t ADD c nothing", "nothing");
        let copy = on_copy("ALTER TABLE t ADD c int").expect("it can");
        assert_eq!(copy.place_as_sent(15), Some(13), "the table itself");
        assert_eq!(copy.place_as_sent(0), None);
    }
}
