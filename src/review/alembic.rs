//! The way by hand as a revision of Alembic would have it.

use super::report::StepTold;

/// Steps as calls of `op`, in an `autocommit_block` where one may not run in a transaction, or where there are several:
/// within one transaction the lock of the first would be held while the next one reads the table.
pub(super) fn calls(steps: &[StepTold]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_block = false;
    let several = steps.iter().filter(|step| !step.is_words()).count() > 1;
    for step in steps {
        if step.is_words() {
            lines.push(format!("# {}", step.sql.trim_start_matches('-').trim()));
            in_block = false;
            continue;
        }
        let apart = several || step.outside;
        if apart && !in_block {
            lines.push("with op.get_context().autocommit_block():".to_owned());
        }
        in_block = apart;
        let indent = if apart { "    " } else { "" };
        lines.push(format!("{indent}op.execute({})", literal(&step.sql)));
    }
    lines
}

/// A string of Python, for `op.execute`: `:word` would be a parameter there, if no word, colon or backslash stands before it and
/// no colon behind (`sqlalchemy.text`).
fn literal(text: &str) -> String {
    let mut escaped = String::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        let behind = rest.trim_start_matches(is_word);
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            ':' if rest.starts_with(is_word)
                && !behind.starts_with(':')
                && !is_word(before)
                && before != ':' =>
            {
                escaped.push_str("\\\\:");
            }
            _ => escaped.push(c),
        }
        before = c;
    }
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_calls() {
        let step = |sql: &str, outside| StepTold { sql: sql.to_owned(), outside, locks: Vec::new() };
        let steps = [
            step("CREATE INDEX CONCURRENTLY i ON t (\"A\")", true),
            step("ALTER TABLE t ADD b int", false),
            step("-- fill it in batches", false),
        ];
        assert_eq!(
            calls(&steps),
            [
                "with op.get_context().autocommit_block():",
                "    op.execute(\"CREATE INDEX CONCURRENTLY i ON t (\\\"A\\\")\")",
                "    op.execute(\"ALTER TABLE t ADD b int\")",
                "# fill it in batches",
            ]
        );
        assert_eq!(calls(&[step("DROP TABLE t", false)]), ["op.execute(\"DROP TABLE t\")"]);
    }

    #[test]
    fn what_looks_like_a_parameter_is_none() {
        assert_eq!(literal("a <> ' :foo'"), r#""a <> ' \\:foo'""#);
        for text in ["a::int", "'x:y'", "a := 1", "': '", "'12:30'"] {
            assert_eq!(literal(text), format!("\"{text}\""), "{text}");
        }
    }
}
