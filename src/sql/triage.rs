//! The first look at every statement: forward it, or look closer.
//!
//! Runs for each message, so it allocates nothing and reads little: the first keyword, and whether a second
//! statement may follow. Property: nothing is forwarded here that `parse` would stop.

use super::lex::{is_space, is_word_start};

/// What the first look finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triage {
    /// Ordinary: nothing in it can take a lock that matters.
    Forward,
    /// To be parsed.
    Look,
}

/// Longest keyword that is looked at.
const KEYWORD_LENGTH_MAX: usize = 12;

/// The first look at a text.
pub fn triage(text: &[u8]) -> Triage {
    let Some(word) = first_word(text) else { return Triage::Look };
    let ordinary = match ordinary_word(word) {
        Ordinary::Yes => !has_inner_semicolon(text),
        Ordinary::Set => !has_inner_semicolon(text) && !may_name_ours(text),
        Ordinary::No => false,
    };
    if ordinary { Triage::Forward } else { Triage::Look }
}

/// The first look at the beginning of a text that is too long to be read whole: its first word alone decides.
pub fn head(text: &[u8]) -> Triage {
    match first_word(text).map(ordinary_word) {
        Some(Ordinary::Yes | Ordinary::Set) => Triage::Forward,
        Some(Ordinary::No) | None => Triage::Look,
    }
}

/// Whether a walsender takes a text for a command of its own (`src/backend/replication/repl_scanner.l`); it reads those
/// one at a time, so that nothing can stand behind it. SHOW is SQL as well, and as ordinary.
pub fn is_replication_command(text: &[u8]) -> bool {
    const COMMANDS: [&str; 9] = [
        "IDENTIFY_SYSTEM",
        "BASE_BACKUP",
        "START_REPLICATION",
        "CREATE_REPLICATION_SLOT",
        "DROP_REPLICATION_SLOT",
        "ALTER_REPLICATION_SLOT",
        "READ_REPLICATION_SLOT",
        "TIMELINE_HISTORY",
        "UPLOAD_MANIFEST",
    ];
    let start = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.iter().position(|byte| !is_word_start(*byte) && !byte.is_ascii_digit());
    let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    COMMANDS.iter().any(|command| command.as_bytes().eq_ignore_ascii_case(word))
}

/// What the first word tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordinary {
    Yes,
    /// `SET`, which may be meant for us.
    Set,
    No,
}

/// What a statement's first word tells; any case.
pub(crate) fn ordinary_word(word: &[u8]) -> Ordinary {
    let mut lower = [0_u8; KEYWORD_LENGTH_MAX];
    let Some(lower) = lower.get_mut(..word.len()) else { return Ordinary::No };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    match &*lower {
        b"select" | b"insert" | b"update" | b"delete" | b"merge" | b"with" | b"values" | b"table"
        | b"show" | b"fetch" | b"move" | b"close" | b"declare" | b"copy" | b"begin" | b"start"
        | b"commit" | b"end" | b"rollback" | b"abort" | b"savepoint" | b"release" | b"listen"
        | b"unlisten" | b"notify" | b"execute" | b"prepare" | b"deallocate" | b"explain" | b"checkpoint"
        | b"load" => Ordinary::Yes,
        b"set" => Ordinary::Set,
        _ => Ordinary::No,
    }
}

/// Words that begin statements which may lock relations, those of versions to come included; any case.
pub(crate) fn is_ddl_word(word: &[u8]) -> bool {
    const WORDS: [&str; 20] = [
        "alter", "call", "cluster", "comment", "create", "discard", "do", "drop", "grant", "import", "lock",
        "reassign", "refresh", "reindex", "repack", "reset", "revoke", "security", "truncate", "vacuum",
    ];
    WORDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// The first word; `None` for an odd or endless beginning.
pub fn first_word(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [byte, tail @ ..] if is_space(*byte) || *byte == b'(' => tail,
            [b'-', b'-', tail @ ..] => {
                let end = tail.iter().position(|byte| *byte == b'\n' || *byte == b'\r')?;
                tail.get(end..)?
            }
            [b'/', b'*', tail @ ..] => after_block_comment(tail)?,
            [byte, ..] if is_word_start(*byte) => break,
            _ => return None,
        };
    }
    let end = rest
        .iter()
        .position(|byte| !is_word_start(*byte) && !byte.is_ascii_digit() && *byte != b'$')
        .unwrap_or(rest.len());
    rest.get(..end)
}

/// What follows a block comment whose opening has been read.
fn after_block_comment(mut rest: &[u8]) -> Option<&[u8]> {
    let mut depth = 1_usize;
    while depth > 0 {
        let at = rest.iter().position(|byte| *byte == b'*' || *byte == b'/')?;
        rest = match rest.get(at..)? {
            [b'*', b'/', tail @ ..] => {
                depth -= 1;
                tail
            }
            [b'/', b'*', tail @ ..] => {
                depth += 1;
                tail
            }
            [_, tail @ ..] => tail,
            [] => return None,
        };
    }
    Some(rest)
}

/// Whether a semicolon stands anywhere but at the very end.
pub(crate) fn has_inner_semicolon(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| *byte != b';' && !is_space(*byte)).map_or(0, |last| last + 1);
    text.get(..end).is_some_and(|body| body.contains(&b';'))
}

/// Whether a `SET` may name a setting of ours; escapes in names (`U&"\006c.."`) count as such.
fn may_name_ours(text: &[u8]) -> bool {
    text.contains(&b'&') || text.windows(10).any(|window| window.eq_ignore_ascii_case(b"lockkeeper"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_statements_are_forwarded() {
        for text in [
            "SELECT 1",
            "select 1;",
            " \n\t\u{b}\u{c}(( SELECT 1) UNION SELECT 2) ; ;; \n",
            "/* a /* nested */ comment */ -- and a line\n INSERT INTO t VALUES (1)",
            "--\rUPDATE t SET a = 1",
            "COPY t FROM STDIN",
            "BEGIN",
            "SET search_path TO a, b;",
            "prepare p as select 1",
            "select/**/1",
            "SET TIME ZONE 'UTC'",
        ] {
            assert_eq!(triage(text.as_bytes()), Triage::Forward, "{text}");
        }
    }

    #[test]
    fn a_walsenders_own_commands_are_known() {
        for text in
            ["IDENTIFY_SYSTEM", " \n start_replication SLOT \"x\" LOGICAL 0/0", "BASE_BACKUP(LABEL 'x;y')"]
        {
            assert!(is_replication_command(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "SHOW x",
            "/**/IDENTIFY_SYSTEM",
            "BASE_BACKUPS",
            "ALTER TABLE t ADD c int",
            "\"BASE_BACKUP\"",
        ] {
            assert!(!is_replication_command(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_looked_at() {
        for text in [
            "",
            ";",
            "-- no end",
            "/* no end",
            "/* a /* b */ SELECT 1",
            "ALTER TABLE t ADD c int",
            "; DROP TABLE t",
            "SELECT 1; DROP TABLE t",
            "SELECT ';'",
            "SELECTS 1",
            "selectï 1",
            "\u{a0}SELECT 1",
            "\"select\" 1",
            "SET lockkeeper.mode = 'off'",
            "SET LockKeeper.mode = 'off'",
            "SET U&\"\\006cockkeeper\".mode = 'off'",
            "RESET ALL",
            "DO $$ BEGIN END $$",
            "CALL p()",
            "LOCK TABLE t",
            "VACUUM FULL t",
            "+1",
        ] {
            assert_eq!(triage(text.as_bytes()), Triage::Look, "{text}");
        }
    }
}
