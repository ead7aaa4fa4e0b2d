//! `lockkeeper status --watch`: what runs, again each second. On a terminal a block of lines that is written over, with a bar for what
//! goes in batches; elsewhere a line for each statement.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crossterm::cursor::MoveToPreviousLine;
use crossterm::queue;
use crossterm::terminal::{self, Clear, ClearType};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::status::{StatusArgs, held_back, progress};
use super::{ask, at, list, seconds, sockets, word};
use crate::event::clock;

const EVERY: Duration = Duration::from_secs(1);

/// Letters of a bar.
const BAR: usize = 50;

/// Shows what runs until somebody stops it.
pub(super) fn watch(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::new();
    loop {
        let mut all = Vec::new();
        for socket in sockets(&args.which)? {
            let answer = ask(&socket, &json!({ "ask": "status" }))?;
            all.push(answer);
        }
        if args.format == "json" {
            let mut out = io::stdout().lock();
            all.iter().try_for_each(|answer| writeln!(out, "{answer}"))?;
        } else if screen.is_terminal {
            screen.show(&block(&all))?;
        } else {
            screen.add(&lines(&all, clock::wall()))?;
        }
        wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing tells that there is news")]
fn wait() {
    thread::sleep(EVERY);
}

/// Standard output.
struct Screen {
    is_terminal: bool,
    /// So many lines are written over next time.
    drawn: u16,
    /// What was written last where nothing is written over.
    last: String,
}

impl Screen {
    fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), drawn: 0, last: String::new() }
    }

    /// Writes a block in place of the last one, as much of it as there is room for.
    fn show(&mut self, block: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let (columns, rows) = terminal::size().unwrap_or_default();
        // Some terminals do not know their size, and say 0.
        let columns = if columns == 0 { 80 } else { usize::from(columns) };
        let rows = if rows == 0 { 24 } else { usize::from(rows) };
        if self.drawn > 0 {
            queue!(out, MoveToPreviousLine(self.drawn))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        self.drawn = 0;
        for line in block.lines().take(rows.saturating_sub(1)) {
            let fitting: String = line.chars().take(columns.saturating_sub(1)).collect();
            writeln!(out, "{fitting}")?;
            self.drawn += 1;
        }
        out.flush()
    }

    /// Appends lines; that nothing runs is said once.
    fn add(&mut self, lines: &str) -> io::Result<()> {
        let nothing = lines.is_empty();
        let lines = if nothing { "nothing is held, nothing runs\n" } else { lines };
        if !nothing || self.last != lines {
            lines.clone_into(&mut self.last);
            let mut out = io::stdout().lock();
            out.write_all(lines.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

/// Statements that are held or run.
fn open(answer: &Value) -> impl Iterator<Item = &Value> {
    ["/held", "/running"].into_iter().flat_map(|of| list(at(answer, of)))
}

/// A line for each statement.
fn lines(all: &[Value], now: Timestamp) -> String {
    let now = seconds(&now.to_string());
    let mut out = String::new();
    for entry in all.iter().flat_map(open) {
        let _ = writeln!(out, "{now} {}: {}", title(entry), doing(entry));
    }
    out
}

/// What is shown on a terminal.
fn block(all: &[Value]) -> String {
    let mut out = String::new();
    for answer in all {
        let addresses: Vec<String> = list(at(answer, "/addresses")).iter().map(word).collect();
        let freeze = match word(at(answer, "/freeze/by")).as_str() {
            "" => String::new(),
            by => format!(", FROZEN by {by}: {}", word(at(answer, "/freeze/reason"))),
        };
        let _ = writeln!(
            out,
            "lockkeeper on {}, sessions: {}{freeze}",
            addresses.join(", "),
            at(answer, "/sessions")
        );
        if open(answer).next().is_none() {
            out.push_str("  nothing is held, nothing runs\n");
        }
        for entry in open(answer) {
            statement(&mut out, entry);
        }
        for entry in list(at(answer, "/recent")).iter().take(3) {
            let rows = progress(entry).map_or_else(String::new, |rows| format!(", {rows}"));
            let _ = writeln!(out, "  {}{rows}", title(entry));
        }
    }
    out
}

fn statement(out: &mut String, entry: &Value) {
    let Some(progress) = progress(entry) else {
        let _ = writeln!(out, "  {}: {}", title(entry), doing(entry));
        return;
    };
    let bar = bar(at(entry, "/progress/percent").as_u64());
    let _ = writeln!(out, "  {}\n    {bar}\n    {progress}", title(entry));
    for why in held_back(entry) {
        let _ = writeln!(out, "    held back: {why}");
    }
}

fn title(entry: &Value) -> String {
    format!(
        "{} {} {} by {} on {}",
        at(entry, "/id"),
        word(at(entry, "/statement")),
        word(at(entry, "/state")),
        word(at(entry, "/user")),
        word(at(entry, "/database"))
    )
}

/// What it waits for, or how far it is.
fn doing(entry: &Value) -> String {
    if let Some(now) = at(entry, "/at").as_str() {
        return word(&now.into());
    }
    match (at(entry, "/step").as_u64(), at(entry, "/steps").as_u64()) {
        (Some(step), Some(of)) => format!("step {step} of {of}"),
        _ => format!("since {}", seconds(&word(at(entry, "/began")))),
    }
}

/// Where nobody knows how far it is to the end, the bar stays empty.
fn bar(percent: Option<u64>) -> String {
    let share = usize::try_from(percent.unwrap_or_default().min(100)).unwrap_or_default();
    let done = BAR * share / 100;
    format!("[{}{}]", "#".repeat(done), "-".repeat(BAR - done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_batches_has_a_bar() {
        let answer = json!({
            "addresses": ["127.0.0.1:6432"],
            "sessions": 2,
            "freeze": { "by": "ann", "reason": "incident 7" },
            "held": [{ "id": 9, "statement": "ALTER TABLE", "state": "held", "user": "m", "database": "shop", "began": "2026-11-27T10:00:00Z" }],
            "running": [{
                "id": 7, "statement": "UPDATE t", "state": "running", "user": "m", "database": "shop",
                "at": "50 rows done\u{1b}[2J",
                "progress": {
                    "rows": 50, "percent": 51, "rows_per_second": 5, "seconds_left": 9000, "speed_percent": 50,
                    "held_back": [{ "signal": "order", "words": "it was paused by ann" }],
                },
            }],
            "recent": [{ "id": 3, "statement": "DELETE", "state": "done", "user": "m", "database": "shop", "ended": "now", "progress": { "rows": 7 } }],
        });
        insta::assert_snapshot!(block(std::slice::from_ref(&answer)), @"
        lockkeeper on 127.0.0.1:6432, sessions: 2, FROZEN by ann: incident 7
          9 ALTER TABLE held by m on shop: since 2026-11-27 10:00:00 UTC
          7 UPDATE t running by m on shop
            [#########################-------------------------]
            50 rows, 51 %, 5 rows/s, at 50 % of its speed, about 2 h left
            held back: it was paused by ann
          3 DELETE done by m on shop, 7 rows
        ");
        insta::assert_snapshot!(lines(&[answer], Timestamp::UNIX_EPOCH), @r"
        1970-01-01 00:00:00 UTC 9 ALTER TABLE held by m on shop: since 2026-11-27 10:00:00 UTC
        1970-01-01 00:00:00 UTC 7 UPDATE t running by m on shop: 50 rows done\u{1b}[2J
        ");
        assert_eq!(lines(&[json!({})], Timestamp::UNIX_EPOCH), "");
        assert_eq!(bar(None), format!("[{}]", "-".repeat(BAR)));
    }
}
