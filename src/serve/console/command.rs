//! What may be said in the console.

use crate::base::{Notice, Period, SqlState};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `SHOW HELP`
    Help,
    /// `SHOW STATUS`
    Status,
    /// `SHOW STEPS`
    Steps,
    /// `SHOW FREEZE`
    ShownFreeze,
    /// `SHOW PEAK`
    Peak,
    /// `FREEZE 'reason' [FOR '2h'] [CANCEL RUNNING]`
    Freeze {
        /// Why.
        reason: String,
        /// How long.
        time: Option<Period>,
        /// What becomes of what runs.
        running: Running,
    },
    /// `THAW`
    Thaw,
}

/// What a freeze does to what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running {
    /// It ends the step that it is at.
    EndsItsStep,
    /// It is cancelled.
    Cancelled,
}

/// Every command with what it does.
pub(super) const HELP: [(&str, &str); 7] = [
    ("SHOW STATUS", "what is held, what runs, and what has run"),
    ("SHOW STEPS", "the steps of what runs and has run, with the longest stall of each"),
    ("SHOW FREEZE", "the freeze, if there is one"),
    ("SHOW PEAK", "the windows that are open, and the next one"),
    ("FREEZE 'reason' [FOR '2h'] [CANCEL RUNNING]", "hold schema changes back at once"),
    ("THAW", "end the freeze"),
    ("SHOW HELP", "this list"),
];

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// In capitals.
    Word(String),
    Text(String),
}

/// Reads one command; nothing where there is none.
pub(super) fn parse(text: &str) -> Result<Option<Command>, Notice> {
    let tokens = tokens(text).ok_or_else(|| wrong("a quote is not closed"))?;
    let words: Vec<&str> = tokens
        .iter()
        .map(|token| match token {
            Token::Word(word) => word.as_str(),
            Token::Text(_) => "'",
        })
        .collect();
    let mut texts = tokens.iter().filter_map(|token| match token {
        Token::Text(text) => Some(text.clone()),
        Token::Word(_) => None,
    });
    Ok(Some(match words.as_slice() {
        [] => return Ok(None),
        ["SHOW", "HELP"] | ["HELP"] => Command::Help,
        ["SHOW", "STATUS"] => Command::Status,
        ["SHOW", "STEPS"] => Command::Steps,
        ["SHOW", "FREEZE"] => Command::ShownFreeze,
        ["SHOW", "PEAK"] => Command::Peak,
        ["THAW"] => Command::Thaw,
        ["FREEZE", "'", rest @ ..] => {
            let reason = texts.next().unwrap_or_default();
            let (timed, rest) = match rest {
                ["FOR", "'", rest @ ..] => (true, rest),
                rest => (false, rest),
            };
            let running = match rest {
                [] => Running::EndsItsStep,
                ["CANCEL", "RUNNING"] => Running::Cancelled,
                _ => return Err(wrong("what stands behind FREEZE is not known")),
            };
            let time = if timed { texts.next() } else { None };
            let time =
                time.map(|text| text.parse::<Period>().map_err(|why| wrong(&why.to_string()))).transpose()?;
            Command::Freeze { reason, time, running }
        }
        _ => return Err(wrong("the console does not know this command")),
    }))
}

fn wrong(what: &str) -> Notice {
    Notice::error(SqlState::SYNTAX_ERROR, what)
        .hint("SHOW HELP lists what there is: SHOW STATUS, SHOW STEPS, SHOW FREEZE, SHOW PEAK, FREEZE 'reason' [FOR '2h'] [CANCEL RUNNING], THAW.")
}

/// Words and quoted texts; a quote within a text is written twice. Semicolons end a command, and nothing else follows.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_matches(|c: char| c.is_whitespace() || c == ';');
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let mut value = String::new();
            rest = rest.get(1..)?;
            loop {
                let (part, after) = rest.split_once('\'')?;
                value.push_str(part);
                rest = after;
                let Some(more) = after.strip_prefix('\'') else { break };
                value.push('\'');
                rest = more;
            }
            tokens.push(Token::Text(value));
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c == '\'').unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end)?;
            tokens.push(Token::Word(word.to_ascii_uppercase()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let freeze = |reason: &str, time: Option<Period>, running| Command::Freeze {
            reason: reason.into(),
            time,
            running,
        };
        for (text, command) in [
            ("show Status;", Command::Status),
            (" SHOW  FREEZE ; ", Command::ShownFreeze),
            ("SHOW PEAK", Command::Peak),
            ("show steps", Command::Steps),
            ("thaw", Command::Thaw),
            ("freeze 'it''s on fire'", freeze("it's on fire", None, Running::EndsItsStep)),
            ("FREEZE 'x' for '2h'", freeze("x", Some(Period::hours(2)), Running::EndsItsStep)),
            ("FREEZE'x'FOR'90s'CANCEL RUNNING", freeze("x", Some(Period::seconds(90)), Running::Cancelled)),
        ] {
            assert_eq!(parse(text).expect("a command"), Some(command), "{text}");
        }
        assert_eq!(parse(" ; "), Ok(None));
        for text in [
            "SELECT 1",
            "FREEZE",
            "FREEZE x",
            "FREEZE 'x",
            "FREEZE 'x' FOR 2h",
            "FREEZE 'x' FOR 'long'",
            "THAW; THAW",
            "SHOW",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
