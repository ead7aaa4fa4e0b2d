//! What may be said in the console.

use crate::base::{Notice, Period, SqlState};
use crate::pace::bulk::Order;

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
    /// `SHOW BULK`
    Bulk,
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
    /// `PAUSE 7`, `RATE 7 '5000'`, ..
    Order {
        /// The number of the statement.
        id: u64,
        /// What it is to do.
        order: Order,
    },
    /// `CANCEL 7`
    Cancel {
        /// The number of the statement.
        id: u64,
    },
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
pub(super) const HELP: [(&str, &str); 14] = [
    ("SHOW STATUS", "what is held, what runs, and what has run"),
    ("SHOW STEPS", "the steps of what runs and has run, with the longest stall of each"),
    ("SHOW FREEZE", "the freeze, if there is one"),
    ("SHOW BULK", "what goes in batches: how far it is, how fast, and what holds it back"),
    ("SHOW PEAK", "the windows that are open, and the next one"),
    ("FREEZE 'reason' [FOR '2h'] [CANCEL RUNNING]", "hold schema changes back at once"),
    ("THAW", "end the freeze"),
    ("PAUSE 7", "stop statement 7 between two of its batches"),
    ("RESUME 7", "let it go on"),
    ("FASTER 7 [4]", "let it go twice, or four times, as fast"),
    ("SLOWER 7 [4]", "the same for slower"),
    ("RATE 7 '5000'", "let it change no more than 5000 rows a second; 'off' lifts that"),
    ("CANCEL 7", "end statement 7, in batches or not"),
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
        ["SHOW", "BULK"] => Command::Bulk,
        ["SHOW"] => return Err(wrong("SHOW wants to know what: HELP, STATUS, STEPS, BULK, FREEZE or PEAK")),
        ["SHOW", other, ..] => {
            return Err(wrong(&format!(
                "SHOW knows HELP, STATUS, STEPS, BULK, FREEZE and PEAK, not {}",
                quoted(other)
            )));
        }
        ["THAW"] => Command::Thaw,
        ["THAW", ..] => {
            return Err(wrong("nothing stands behind THAW: it ends the one freeze that there is"));
        }
        ["FREEZE", rest @ ..] => freeze(rest, texts)?,
        ["CANCEL", rest @ ..] => Command::Cancel { id: only_id("CANCEL", rest)? },
        [verb @ ("PAUSE" | "RESUME" | "FASTER" | "SLOWER" | "RATE"), rest @ ..] => order(verb, rest, texts)?,
        _ => return Err(wrong("the console does not know this command")),
    })
}

/// Reads what stands behind the word for an order: the number of a statement, and for some a value, in quotes or without.
fn order(verb: &str, rest: &[&str], mut texts: impl Iterator<Item = String>) -> Result<Command, Notice> {
    let texts = texts.next().map(|text| text.trim().to_uppercase());
    let (id, value) = match rest {
        [id, "'"] => (*id, texts.as_deref()),
        [id, value] => (*id, Some(*value)),
        _ => (only(verb, rest)?, None),
    };
    let times = || match value {
        None => Ok(2),
        Some(value) => value.parse::<u32>().ok().filter(|times| (1..=100).contains(times)).ok_or_else(|| {
            wrong(&format!("behind the number of the statement {verb} takes how many times: {verb} 7 4"))
        }),
    };
    let order = match (verb, value) {
        ("PAUSE", None) => Order::Pause,
        ("RESUME", None) => Order::Resume,
        ("FASTER", _) => Order::Faster(times()?),
        ("SLOWER", _) => Order::Slower(times()?),
        ("RATE", Some("OFF")) => Order::RowsPerSecond(None),
        ("RATE", Some(value)) => match value.parse() {
            Ok(rows @ 1..) => Order::RowsPerSecond(Some(rows)),
            _ => return Err(wrong(RATE)),
        },
        ("RATE", None) => return Err(wrong(RATE)),
        _ => {
            return Err(wrong(&format!("{verb} takes the number of a statement and nothing else: {verb} 7")));
        }
    };
    Ok(Command::Order { id: read_id(verb, id)?, order })
}

const RATE: &str = "RATE takes the number of a statement and how many rows a second it may change: RATE 7 '5000', or RATE 7 'off'";

fn only_id(verb: &str, rest: &[&str]) -> Result<u64, Notice> {
    read_id(verb, only(verb, rest)?)
}

/// The one word that stands there.
fn only<'a>(verb: &str, rest: &[&'a str]) -> Result<&'a str, Notice> {
    match rest {
        [id] => Ok(id),
        _ => Err(no_id(verb)),
    }
}

fn read_id(verb: &str, id: &str) -> Result<u64, Notice> {
    id.parse().map_err(|_| no_id(verb))
}

fn no_id(verb: &str) -> Notice {
    wrong(&format!("{verb} takes the number of a statement, which SHOW STATUS tells: {verb} 7"))
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
        .hint("SHOW HELP lists what there is: SHOW STATUS, SHOW STEPS, SHOW BULK, SHOW FREEZE, SHOW PEAK, FREEZE 'reason' [FOR '2h'] [CANCEL RUNNING], THAW, PAUSE, RESUME, FASTER, SLOWER, RATE, CANCEL.")
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
        let order = |order| Command::Order { id: 7, order };
        for (text, command) in [
            ("show Status;", Command::Status),
            (" SHOW  FREEZE ; ", Command::ShownFreeze),
            ("SHOW PEAK", Command::Peak),
            ("show steps", Command::Steps),
            ("thaw", Command::Thaw),
            ("show bulk", Command::Bulk),
            ("pause 7", order(Order::Pause)),
            ("RESUME 7;", order(Order::Resume)),
            ("faster 7", order(Order::Faster(2))),
            ("slower 7 '4'", order(Order::Slower(4))),
            ("RATE 7 5000", order(Order::RowsPerSecond(Some(5000)))),
            ("RATE 7 '5000'", order(Order::RowsPerSecond(Some(5000)))),
            ("rate 7 off", order(Order::RowsPerSecond(None))),
            ("rate 7'off'", order(Order::RowsPerSecond(None))),
            ("CANCEL 7", Command::Cancel { id: 7 }),
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
            "PAUSE",
            "PAUSE '7'",
            "PAUSE 7 8",
            "RESUME all",
            "FASTER 7 0",
            "SLOWER 7 1000",
            "RATE 7",
            "RATE 7 0",
            "RATE 7 'many'",
            "CANCEL",
            "CANCEL 7 8",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
