//! What comments ask of lockkeeper: `/* lockkeeper: allow <hazard> because <reason> */`, or behind `--`, though psql
//! strips such a line in front of a statement.
//!
//! Only real comments count, never a string that looks like one. What a directive means is for `judge` to say.

use super::lex::{Lexer, TokenKind};

/// One directive, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// `allow`, `mode`, `max_stall`, ..: the same names as `SET lockkeeper.<name>`.
    pub name: String,
    /// The rest.
    pub value: String,
}

/// The directives in a text's comments, in order.
pub fn directives(text: &str, standard_conforming_strings: bool) -> Vec<Directive> {
    Lexer::new(text, standard_conforming_strings)
        .filter(|token| matches!(token.kind, TokenKind::Comment(_)))
        .flat_map(|token| in_comment(token.text(text)))
        .collect()
}

/// The directives of one comment, several of them separated by semicolons.
fn in_comment(comment: &str) -> Vec<Directive> {
    let body = comment
        .strip_prefix("--")
        .or_else(|| comment.strip_prefix("/*").map(|rest| rest.strip_suffix("*/").unwrap_or(rest)))
        .unwrap_or_default()
        .trim();
    let Some((head, rest)) = body.split_once(':') else { return as_a_command(body).into_iter().collect() };
    if !head.trim().eq_ignore_ascii_case("lockkeeper") {
        return Vec::new();
    }
    rest.split(';').map(str::trim).filter(|part| !part.is_empty()).map(directive).collect()
}

/// `lockkeeper resume 17`, as it is written in a shell: left out of account it would let a statement begin anew.
fn as_a_command(body: &str) -> Option<Directive> {
    let (program, rest) = first_word(body);
    let (name, value) = first_word(rest);
    let number = value.bytes().all(|byte| byte.is_ascii_digit());
    let resumes = program.eq_ignore_ascii_case("lockkeeper") && name.eq_ignore_ascii_case("resume");
    (resumes && number).then(|| directive(rest))
}

/// `allow x because y`, `mode observe`, `set max_stall 50ms`, `max_stall = 50ms`.
fn directive(part: &str) -> Directive {
    let (first, rest) = first_word(part);
    let (name, value) = if first.eq_ignore_ascii_case("set") { first_word(rest) } else { (first, rest) };
    let value = value.strip_prefix('=').unwrap_or(value).trim();
    Directive { name: name.to_ascii_lowercase(), value: unquoted(value).to_owned() }
}

/// The name at the beginning, and what follows it.
fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// People who know SET write quotes.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String)> {
        directives(text, true).into_iter().map(|directive| (directive.name, directive.value)).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn directives_are_read_from_both_kinds_of_comments() {
        assert_eq!(
            found(
                "-- lockkeeper: allow create-index-blocking because the table is read only\nCREATE INDEX ON t (a)"
            ),
            [pair("allow", "create-index-blocking because the table is read only")]
        );
        assert_eq!(
            found("CREATE /* LockKeeper: mode observe; set max_stall 50ms;retry_for='2s' */ INDEX ON t (a)"),
            [pair("mode", "observe"), pair("max_stall", "50ms"), pair("retry_for", "2s")]
        );
    }

    #[test]
    fn only_comments_count() {
        assert_eq!(found("SELECT '-- lockkeeper: mode off', $$/* lockkeeper: mode off */$$"), []);
        assert_eq!(found("-- lockkeeper is great\n-- lockkeeperx: mode off\n/* */ SELECT 1"), []);
        assert_eq!(found("/* lockkeeper: */ -- lockkeeper:;;"), []);
        assert_eq!(found("/* lockkeeper resume 17 */ UPDATE t SET a = 1"), [pair("resume", "17")]);
        assert_eq!(found("/* lockkeeper resume 17 has done this */ /* lockkeeper */"), []);
    }
}
