//! The way by hand as a revision of Alembic would have it.

use super::report::StepTold;

/// Steps as calls of `op`; what may not run in a transaction goes into an `autocommit_block`.
pub(super) fn calls(steps: &[StepTold]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_block = false;
    for step in steps {
        if step.is_words() {
            lines.push(format!("# {}", step.sql.trim_start_matches('-').trim()));
            in_block = false;
            continue;
        }
        if step.outside && !in_block {
            lines.push("with op.get_context().autocommit_block():".to_owned());
        }
        in_block = step.outside;
        let indent = if step.outside { "    " } else { "" };
        lines.push(format!("{indent}op.execute({})", literal(&step.sql)));
    }
    lines
}

/// A string of Python.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
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
                "op.execute(\"ALTER TABLE t ADD b int\")",
                "# fill it in batches",
            ]
        );
    }
}
