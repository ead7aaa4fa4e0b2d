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

/// No more of a word is repeated than this.
const WORD_MAX: usize = 30;

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// In capitals.
    Word(String),
    Text(String),
    /// A semicolon.
    End,
}

/// Reads the commands of a line, each ended by a semicolon or by the line's end. Where one is wrong none is carried out, as with
/// Postgres.
pub(super) fn parse(text: &str) -> Result<Vec<Command>, Notice> {
    let tokens = tokens(text).ok_or_else(|| wrong("a quote is not closed"))?;
    let all = tokens.split(|token| *token == Token::End);
    all.filter(|one| !one.is_empty()).map(command).collect()
}

/// Reads one command.
fn command(tokens: &[Token]) -> Result<Command, Notice> {
    let words: Vec<&str> = tokens
        .iter()
        .map(|token| match token {
            Token::Word(word) => word.as_str(),
            Token::Text(_) => "'",
            Token::End => ";",
        })
        .collect();
    let texts = tokens.iter().filter_map(|token| match token {
        Token::Text(text) => Some(text.clone()),
        Token::Word(_) | Token::End => None,
    });
    Ok(match words.as_slice() {
        ["SHOW", "HELP"] | ["HELP"] => Command::Help,
        ["SHOW", "STATUS"] => Command::Status,
        ["SHOW", "STEPS"] => Command::Steps,
        ["SHOW", "FREEZE"] => Command::ShownFreeze,
        ["SHOW", "PEAK"] => Command::Peak,
        ["SHOW"] => return Err(wrong("SHOW wants to know what: HELP, STATUS, STEPS, FREEZE or PEAK")),
        ["SHOW", other, ..] => {
            return Err(wrong(&format!(
                "SHOW knows HELP, STATUS, STEPS, FREEZE and PEAK, not {}",
                quoted(other)
            )));
        }
        ["THAW"] => Command::Thaw,
        ["THAW", ..] => {
            return Err(wrong("nothing stands behind THAW: it ends the one freeze that there is"));
        }
        ["FREEZE", rest @ ..] => freeze(rest, texts)?,
        _ => return Err(wrong("the console does not know this command")),
    })
}

/// Reads what stands behind FREEZE: words, `'` for a text, and the texts.
fn freeze(rest: &[&str], mut texts: impl Iterator<Item = String>) -> Result<Command, Notice> {
    let (time, rest) = match rest {
        ["'", "FOR", "'", rest @ ..] => (1, rest),
        ["'", rest @ ..] => (0, rest),
        [] | ["FOR" | "CANCEL", ..] => {
            return Err(wrong("a freeze needs a reason, which stands in quotes: FREEZE 'the replica lags'"));
        }
        _ => {
            return Err(wrong(
                "the reason of a freeze stands in quotes: FREEZE 'the replica lags' FOR '2min'; it holds for all tables",
            ));
        }
    };
    let running = match rest {
        [] => Running::EndsItsStep,
        ["CANCEL", "RUNNING"] => Running::Cancelled,
        ["FOR", ..] => {
            return Err(wrong("how long a freeze lasts stands in quotes: FREEZE 'reason' FOR '2h'"));
        }
        _ => {
            let what =
                "behind the reason of a freeze nothing stands but FOR '2h' and CANCEL RUNNING, in this order";
            return Err(wrong(what));
        }
    };
    let reason = texts.next().unwrap_or_default();
    let time = texts.take(time).next();
    let time = time
        .map(|text| {
            text.parse::<Period>()
                .map_err(|why| wrong(&format!("how long a freeze lasts cannot be read: {why}")))
        })
        .transpose()?;
    Ok(Command::Freeze { reason, time, running })
}

fn wrong(what: &str) -> Notice {
    Notice::error(SqlState::SYNTAX_ERROR, what)
        .hint("SHOW HELP lists what there is: SHOW STATUS, SHOW STEPS, SHOW FREEZE, SHOW PEAK, FREEZE 'reason' [FOR '2h'] [CANCEL RUNNING], THAW.")
}

/// What is shown of a word that is not known: a short beginning.
fn quoted(word: &str) -> String {
    word.chars().take(WORD_MAX).filter(|letter| !letter.is_control()).collect()
}

/// Words, quoted texts and semicolons; a quote within a text is written twice.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim();
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
        } else if first == ';' {
            rest = rest.get(1..)?;
            tokens.push(Token::End);
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '\'' | ';')).unwrap_or(rest.len());
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
            assert_eq!(parse(text).expect("a command"), [command], "{text}");
        }
        assert_eq!(parse(" ; "), Ok(Vec::new()));
        let several = [freeze("a; b", None, Running::EndsItsStep), Command::Status, Command::Thaw];
        assert_eq!(parse(" freeze'a; b';; show status;THAW ; "), Ok(several.to_vec()));
        for text in [
            "SELECT 1",
            "FREEZE",
            "FREEZE x",
            "FREEZE 'x",
            "FREEZE 'x' FOR 2h",
            "FREEZE 'x' FOR 'long'",
            "THAW now",
            "THAW; FREEZE",
            "SHOW",
            "SHOW 'x'",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
