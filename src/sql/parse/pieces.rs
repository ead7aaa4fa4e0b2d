//! Takes an `UPDATE` or `DELETE` to pieces by the places of its words.
//!
//! The proof that nothing was lost: the pieces put together again have the tree of the whole, but for the places.

use std::collections::HashSet;
use std::ops::Range;

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar, WithClause};

use super::Source;
use super::form::{Parts, Places, writes};
use super::outline::{Fields, Outline};
use super::read::{read, same_but_for_places};
use crate::base::RelationName;
use crate::sql::form::WriteVerb;
use crate::sql::pieces::{Odd, Pieces};
use crate::sql::statement::{Script, Statement};

/// Columns that every table has (the manual, "System Columns").
const SYSTEM_COLUMNS: [&str; 5] = ["ctid", "xmin", "xmax", "cmin", "cmax"];

/// Special values of date and time types (the manual, "Special Values").
const MOMENTS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// The pieces of a message's only statement; `None` where they cannot be told beyond doubt.
pub fn pieces(script: &Script) -> Option<Pieces> {
    let [statement] = script.statements.as_slice() else { return None };
    let text = std::str::from_utf8(script.text.as_bytes()).ok()?;
    let pieces = taken(script, statement, text)?;
    same_but_for_places(text, &pieces.whole(), script.dialect).then_some(pieces)
}

fn taken(script: &Script, statement: &Statement, text: &str) -> Option<Pieces> {
    let tree = read(text, script.dialect).ok()?;
    let node = tree.stmts.first()?.stmt.as_ref()?.node.as_ref()?;
    let (verb, target, with) = match node {
        NodeEnum::UpdateStmt(it) => (WriteVerb::Update, it.relation.as_ref()?, it.with_clause.as_ref()),
        NodeEnum::DeleteStmt(it) => (WriteVerb::Delete, it.relation.as_ref()?, it.with_clause.as_ref()),
        _ => return None,
    };
    let source = Source { text, bytes: text.as_bytes(), dialect: script.dialect, nesting: 0 };
    let places = Places::new(source, statement.span.clone(), 0);
    let places = places.of_write(usize::try_from(target.location).ok()?, &parts(node)?)?;
    let words = |range: Range<usize>| text.get(range).map(|words| words.trim().to_owned());
    let write = writes(node).into_iter().next()?;
    let outline = Outline::of(node);
    Some(Pieces {
        verb,
        called: target.alias.as_ref().map_or_else(|| target.relname.clone(), |it| it.aliasname.clone()),
        table: write.table.clone(),
        only: write.only,
        with: places.with.and_then(words),
        target: words(places.target)?,
        set: places.set.and_then(words),
        others: places.others.and_then(words),
        condition: places.condition.and_then(words),
        returning: places.returning.and_then(words),
        columns: write.columns,
        functions: outline.functions(),
        reads: read_besides(&outline, &write.table),
        queries: outline.queries(),
        aliased: target.alias.is_some(),
        with_schema: target.alias.is_none()
            && !target.schemaname.is_empty()
            && outline.column_names().any(|names| names.starts_with(&[&target.schemaname, &target.relname])),
        hands_out_all: hands_out_all(node),
        whole_row: names_whole_row(&outline, target),
        odd: odd(node, with, &outline),
    })
}

/// The relations that are named besides the table itself, which is named first.
fn read_besides(outline: &Outline, table: &RelationName) -> Vec<RelationName> {
    let mut all = outline.relations();
    if let Some(own) = all.iter().position(|it| it == table) {
        all.remove(own);
    }
    let mut before = HashSet::new();
    all.retain(|it| before.insert(it.clone()));
    all
}

/// Whether it hands out all columns at once: `RETURNING *`, `old`, `new.*`.
fn hands_out_all(node: &NodeEnum) -> bool {
    let returning = match node {
        NodeEnum::UpdateStmt(it) => it.returning_clause.as_ref(),
        NodeEnum::DeleteStmt(it) => it.returning_clause.as_ref(),
        _ => None,
    };
    let all = |node: &Node| {
        let outline = node.node.as_ref().map(Outline::of);
        outline.is_some_and(|outline| {
            outline.column_names().any(|names| matches!(names.as_slice(), [.., "*"] | ["old" | "new"]))
        })
    };
    returning.is_some_and(|returning| returning.exprs.iter().any(all))
}

/// Whether it names rows of the table as a whole.
fn names_whole_row(outline: &Outline, target: &RangeVar) -> bool {
    let called = target.alias.as_ref().map_or(target.relname.as_str(), |it| it.aliasname.as_str());
    outline.column_names().any(|names| match names.as_slice() {
        [name] | [.., name, "*"] => *name == called,
        [schema, name] => *schema == target.schemaname && *name == target.relname,
        _ => false,
    })
}

/// Which parts the tree says that it has.
fn parts(node: &NodeEnum) -> Option<Parts> {
    Some(match node {
        NodeEnum::UpdateStmt(it) => Parts {
            alias: it.relation.as_ref()?.alias.is_some(),
            set: true,
            others: !it.from_clause.is_empty(),
            condition: it.where_clause.is_some(),
        },
        NodeEnum::DeleteStmt(it) => Parts {
            alias: it.relation.as_ref()?.alias.is_some(),
            set: false,
            others: !it.using_clause.is_empty(),
            condition: it.where_clause.is_some(),
        },
        _ => return None,
    })
}

fn odd(node: &NodeEnum, with: Option<&WithClause>, outline: &Outline) -> Vec<Odd> {
    let mut odd = Vec::new();
    let in_with = with.into_iter().flat_map(|with| &with.ctes).filter_map(|node| match &node.node {
        Some(NodeEnum::CommonTableExpr(it)) => it.ctequery.as_ref()?.node.as_ref(),
        _ => None,
    });
    if in_with.into_iter().any(|query| !matches!(query, NodeEnum::SelectStmt(_))) {
        odd.push(Odd::WritesInWith);
    }
    if outline.has("CurrentOfExpr") {
        odd.push(Odd::Cursor);
    }
    let system = outline.columns().find(|column| SYSTEM_COLUMNS.contains(&column.as_str()));
    odd.extend(system.cloned().map(Odd::SystemColumn));
    if outline.constants().any(|text| is_moment(text)) {
        odd.push(Odd::Moment);
    }
    if picks_in_no_order(outline) {
        odd.push(Odd::InNoOrder);
    }
    let targets = match node {
        NodeEnum::UpdateStmt(it) => it.target_list.as_slice(),
        _ => &[],
    };
    let is_default = |node: &Node| match &node.node {
        Some(NodeEnum::ResTarget(it)) => sets_default(it.val.as_deref()),
        _ => false,
    };
    if targets.iter().any(is_default) {
        odd.push(Odd::Default);
    }
    odd
}

/// Whether a date or time type may read a text as a moment that depends on when it is read: one of the words stands first in it, or all its
/// words are such as stand beside them.
fn is_moment(text: &str) -> bool {
    const BESIDE: [&str; 8] = ["infinity", "allballs", "am", "pm", "utc", "z", "t", "zulu"];
    let of = |words: &[&str], word: &str| words.iter().any(|it| it.eq_ignore_ascii_case(word));
    let mut words = text.split(|it: char| !it.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let starts = text.trim().starts_with(|it: char| it.is_ascii_alphabetic());
    let first = words.clone().next().unwrap_or_default();
    starts && of(&MOMENTS, first)
        || words.clone().any(|word| of(&MOMENTS, word))
            && words.all(|word| of(&MOMENTS, word) || of(&BESIDE, word))
}

/// Whether a query in it takes some of its rows, or numbers them, and nothing says which or how: it may be others with each batch.
fn picks_in_no_order(outline: &Outline) -> bool {
    const NUMBERING: [&str; 7] =
        ["row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value"];
    let skips = |it: Fields<'_>| it.has("limit_offset") || it.has("distinct_clause");
    let some = |it: Fields<'_>| (it.has("limit_count") || skips(it)) && !it.has("sort_clause");
    // Whichever they are, there are some or none.
    let only_whether = |it: Fields<'_>| {
        let query = it.first("subselect", "SelectStmt").filter(|_| it.is("sub_link_type", "ExistsSublink"));
        query.is_some_and(|query| some(query) && !skips(query))
    };
    let numbers = || outline.functions().iter().any(|it| NUMBERING.contains(&it.name.as_str()));
    // One that is named may have its order where it is defined.
    let ordered = outline.any("WindowDef", |it| it.has("order_clause"));
    let unordered =
        |it: Fields<'_>| !it.has("order_clause") && (!ordered || !it.has("refname") && !it.has("name"));
    outline.has("RangeTableSample")
        || outline.count("SelectStmt", some) > outline.count("SubLink", only_whether)
        || numbers() && outline.any("WindowDef", unordered)
}

/// `DEFAULT`, also within a row: `SET (a, b) = (1, DEFAULT)`.
fn sets_default(value: Option<&Node>) -> bool {
    match value.and_then(|value| value.node.as_ref()) {
        Some(NodeEnum::SetToDefault(_)) => true,
        Some(NodeEnum::MultiAssignRef(it)) => match it.source.as_ref().and_then(|it| it.node.as_ref()) {
            Some(NodeEnum::RowExpr(row)) => row.args.iter().any(|it| sets_default(Some(it))),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::written;
    use crate::sql::{Encoding, parse};

    fn of(sql: &str) -> Option<Pieces> {
        pieces(&parse(sql.as_bytes(), Encoding::Utf8))
    }

    #[test]
    fn pieces_are_put_together_again() {
        for (sql, expected) in [
            ("UPDATE t SET n = 1", "UPDATE ONLY s.t AS t\nSET n = 1\nWHERE id <= $1"),
            (
                "update only ( s.t ) as x set n = x.n + 1, m = a is distinct from b -- why\n where (a OR b) returning x.id AS \"where\";",
                "UPDATE ONLY s.t AS x\nset n = x.n + 1, m = a is distinct from b -- why\nWHERE id <= $1 AND ((a OR b)\n)\nreturning x.id AS \"where\"",
            ),
            (
                "WITH o AS (SELECT id FROM other) /* c */ UPDATE t AS set SET n = o.id FROM o, LATERAL (SELECT 1) z WHERE o.id = set.id",
                "WITH o AS (SELECT id FROM other) /* c */\nUPDATE ONLY s.t AS set\nSET n = o.id\nFROM o, LATERAL (SELECT 1) z\nWHERE id <= $1 AND (o.id = set.id\n)",
            ),
            (
                "DELETE FROM \"T t\" USING a JOIN b USING (id) WHERE a.id = \"T t\".id OR true -- all\n",
                "DELETE FROM ONLY s.t AS \"T t\"\nUSING a JOIN b USING (id)\nWHERE id <= $1 AND (a.id = \"T t\".id OR true\n)",
            ),
        ] {
            let pieces = of(sql).unwrap_or_else(|| panic!("{sql}"));
            let table = format!("ONLY s.t AS {}", written(&pieces.called));
            assert_eq!(pieces.put_together(&table, Some("id <= $1")), expected);
        }
        for none in ["SELECT 1", "UPDATE t SET n = 1; UPDATE t SET n = 2", "INSERT INTO t SELECT 1", "UPDATE"]
        {
            assert!(of(none).is_none(), "{none}");
        }
    }

    #[test]
    fn whatever_is_read_or_called_is_found() {
        let deep = "UPDATE t SET (a, b) = (SELECT x, y FROM s.one), c = ARRAY[(SELECT f(1) FROM two)], d = (SELECT 3 LIMIT (SELECT 1 FROM three)) \
                    WHERE CASE WHEN EXISTS (SELECT FROM t) THEN pg_catalog.lower(e) COLLATE \"C\" = (SELECT g() FROM v) END";
        let pieces = of(deep).unwrap();
        let mut names: Vec<String> = pieces.reads.iter().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, [r#""s"."one""#, r#""t""#, r#""three""#, r#""two""#, r#""v""#]);
        let mut called: Vec<String> = pieces.functions.iter().map(ToString::to_string).collect();
        called.sort();
        assert_eq!(called, [r#""f""#, r#""g""#, r#""pg_catalog"."lower""#]);
        assert_eq!(pieces.columns, ["a", "b", "c", "d"]);
        let named = of("WITH t AS (SELECT 1 FROM t) UPDATE t SET a = (SELECT * FROM t)").unwrap();
        assert_eq!((named.reads, named.queries), (vec![RelationName::bare("t")], vec!["t".to_owned()]));
    }

    #[test]
    fn what_makes_it_another_statement_is_found() {
        for (sql, odd) in [
            ("UPDATE t SET a = 1 WHERE CURRENT OF c", vec![Odd::Cursor]),
            ("DELETE FROM t WHERE t.ctid = ANY (ARRAY(SELECT 1))", vec![Odd::SystemColumn("ctid".into())]),
            ("UPDATE t SET a = xmin::text", vec![Odd::SystemColumn("xmin".into())]),
            ("UPDATE t SET at = ' Now'::timestamptz", vec![Odd::Moment]),
            ("UPDATE t SET at = '12:00 today'", vec![Odd::Moment]),
            ("UPDATE t SET at = '{Today}'::date[]", vec![Odd::Moment]),
            ("UPDATE t SET at = '[today,infinity)'::daterange", vec![Odd::Moment]),
            ("UPDATE t SET a = '12 today, 3 more'", vec![]),
            ("DELETE FROM t WHERE id IN (SELECT id FROM s LIMIT 5)", vec![Odd::InNoOrder]),
            ("DELETE FROM t WHERE id IN (SELECT id FROM s OFFSET 5)", vec![Odd::InNoOrder]),
            ("DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM s WHERE s.id = t.id LIMIT 1)", vec![]),
            ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s UNION SELECT 2 FROM u LIMIT 1)", vec![]),
            ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s OFFSET 1 LIMIT 1)", vec![Odd::InNoOrder]),
            (
                "DELETE FROM t WHERE EXISTS (SELECT 1 FROM (SELECT id FROM s LIMIT 5) x WHERE x.id = t.id)",
                vec![Odd::InNoOrder],
            ),
            (
                "DELETE FROM t WHERE EXISTS (SELECT 1 FROM s LIMIT 1) AND id IN (SELECT id FROM s LIMIT 5)",
                vec![Odd::InNoOrder],
            ),
            ("DELETE FROM t WHERE id = (SELECT id FROM s LIMIT 1)", vec![Odd::InNoOrder]),
            ("DELETE FROM t WHERE id IN (SELECT id FROM s ORDER BY id LIMIT 5)", vec![]),
            ("DELETE FROM t WHERE id IN (SELECT DISTINCT id FROM s)", vec![]),
            ("DELETE FROM t WHERE id IN (SELECT DISTINCT ON (g) id FROM s)", vec![Odd::InNoOrder]),
            ("DELETE FROM t WHERE id IN (SELECT id FROM s TABLESAMPLE BERNOULLI (10))", vec![Odd::InNoOrder]),
            (
                "UPDATE t SET n = x.n FROM (SELECT id, row_number() OVER (PARTITION BY g) n FROM s) x WHERE x.id = t.id",
                vec![Odd::InNoOrder],
            ),
            (
                "UPDATE t SET n = x.n FROM (SELECT id, row_number() OVER w n FROM s WINDOW w AS (PARTITION BY g)) x WHERE x.id = t.id",
                vec![Odd::InNoOrder],
            ),
            (
                "UPDATE t SET n = x.n FROM (SELECT id, row_number() OVER w n FROM s WINDOW w AS (ORDER BY g)) x WHERE x.id = t.id",
                vec![],
            ),
            (
                "UPDATE t SET n = x.n FROM (SELECT id, row_number() OVER (ORDER BY g) n FROM s) x WHERE x.id = t.id",
                vec![],
            ),
            ("UPDATE t SET n = x.n FROM (SELECT id, sum(n) OVER (PARTITION BY g) n FROM s) x", vec![]),
            ("UPDATE t SET (a, b) = (1, DEFAULT)", vec![Odd::Default]),
            ("UPDATE t SET a = DEFAULT", vec![Odd::Default]),
            ("WITH w AS (DELETE FROM u RETURNING 1) UPDATE t SET a = 1", vec![Odd::WritesInWith]),
            ("UPDATE t SET a = 'location: 7' WHERE c = 'nowhere' OR d = $$a \"quoted\" \\ one$$", vec![]),
        ] {
            assert_eq!(of(sql).unwrap_or_else(|| panic!("{sql}")).odd, odd, "{sql}");
        }
    }
}
