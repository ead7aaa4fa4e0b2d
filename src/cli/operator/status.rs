//! `lockkeeper status`: what proxies are doing, in words.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Which, at, each, list, seconds, watch, word};
use crate::event::Clean;
use crate::pace::blocker;

/// Arguments of `lockkeeper status`.
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    pub(super) which: Which,
    /// `text` for people, `json`: one line for each proxy.
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    pub(super) format: String,
    /// Show what runs again each second until Ctrl-C: on a terminal with a bar for what goes in batches, elsewhere in lines.
    #[arg(long)]
    watch: bool,
    /// Also each step of what runs and has run: its lock, how it ended, how long it took and the longest stall.
    #[arg(long)]
    steps: bool,
}

/// Prints what each proxy is doing.
pub(in crate::cli) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    if args.watch {
        return watch::watch(args);
    }
    let steps: fn(&mut String, &Value) = if args.steps { steps_of } else { |_, _| () };
    each(&args.which, &json!({ "ask": "status" }), |socket, answer| {
        if args.format == "json" { format!("{answer}\n") } else { described(socket, answer, steps) }
    })
}

fn described(socket: &Path, answer: &Value, steps: fn(&mut String, &Value)) -> String {
    let mut out = format!(
        "{}: lockkeeper {}, process {}, sessions: {}\n",
        socket.display(),
        word(at(answer, "/version")),
        at(answer, "/process"),
        at(answer, "/sessions")
    );
    let freeze = at(answer, "/freeze");
    let _ = match word(at(freeze, "/by")).as_str() {
        "" => writeln!(out, "  not frozen"),
        by => {
            let until = at(freeze, "/until")
                .as_str()
                .map_or_else(String::new, |until| format!(", until {}", seconds(until)));
            writeln!(
                out,
                "  FROZEN by {by} since {}{until}: {}",
                seconds(&word(at(freeze, "/since"))),
                word(at(freeze, "/reason"))
            )
        }
    };
    for open in list(at(answer, "/peak/open")) {
        let _ = writeln!(
            out,
            "  peak hours until {}: {}",
            seconds(&word(at(open, "/until"))),
            word(at(open, "/window"))
        );
    }
    if let Some(opens) = at(answer, "/peak/next/opens").as_str() {
        let _ = writeln!(
            out,
            "  next peak hours at {}: {}",
            seconds(opens),
            word(at(answer, "/peak/next/window"))
        );
    }
    for name in ["held", "running", "recent"] {
        let entries = list(at(answer, &format!("/{name}")));
        if !entries.is_empty() {
            let _ = writeln!(out, "  {name}:");
        }
        for entry in entries {
            statement(&mut out, entry);
            steps(&mut out, entry);
        }
    }
    left_overs(&mut out, list(at(answer, "/unfinished_in_databases")));
    out
}

/// What looks unfinished in the databases, and what to do about it.
fn left_overs(out: &mut String, found: &[Value]) {
    if !found.is_empty() {
        out.push_str(
            "  looks unfinished; run the statement, straight or through the proxy, unless it is meant to be so:\n",
        );
    }
    for one in found {
        let _ = writeln!(
            out,
            "    {} in {}: {}\n      {};",
            word(at(one, "/name")),
            word(at(one, "/database")),
            word(at(one, "/what")),
            word(at(one, "/statement")),
        );
    }
}

fn statement(out: &mut String, entry: &Value) {
    let _ = write!(
        out,
        "    {} {} {} by {} on {}, process {}, since {}",
        at(entry, "/id"),
        word(at(entry, "/statement")),
        word(at(entry, "/state")),
        word(at(entry, "/user")),
        word(at(entry, "/database")),
        at(entry, "/process"),
        seconds(&word(at(entry, "/began"))),
    );
    if let (Some(step), Some(of)) = (at(entry, "/step").as_u64(), at(entry, "/steps").as_u64()) {
        let _ = write!(out, ", step {step} of {of}");
    }
    let progress = progress(entry);
    match (&progress, at(entry, "/at").as_str()) {
        (Some(progress), _) => {
            let _ = write!(out, ", {progress}");
        }
        (None, Some(now)) => {
            let _ = write!(out, ", {}", Clean(now));
        }
        (None, None) => {}
    }
    if let Some(stall) = at(entry, "/stall_at_most_ms").as_u64().filter(|stall| *stall > 0) {
        let _ = write!(out, ", stall at most {stall} ms");
    }
    if let Some(why) = at(entry, "/override").as_str() {
        let _ = write!(out, ", by override: {}", Clean(why));
    }
    if let Some(by) = at(entry, "/cancelled_by").as_str() {
        let _ = write!(out, ", cancelled by {}", Clean(by));
    }
    out.push('\n');
    for why in held_back(entry) {
        let _ = writeln!(out, "      held back: {why}");
    }
}

/// How far a statement is that goes in batches, or how far it came.
pub(super) fn progress(entry: &Value) -> Option<String> {
    let progress = Some(at(entry, "/progress")).filter(|progress| !progress.is_null())?;
    let number = |name: &str| progress.get(name).and_then(Value::as_u64);
    let mut out = format!("{} rows", number("rows")?);
    if entry.get("ended").is_some_and(|ended| !ended.is_null()) {
        return Some(out);
    }
    if let Some(percent) = number("percent") {
        let _ = write!(out, ", {percent} %");
    }
    let _ = write!(out, ", {} rows/s", number("rows_per_second").unwrap_or_default());
    if let Some(most) = number("rows_per_second_max") {
        let _ = write!(out, " (max {most})");
    }
    if let Some(speed) = number("speed_percent").filter(|speed| *speed != 100) {
        let _ = write!(out, ", at {speed} % of its speed");
    }
    if let Some(left) = number("seconds_left") {
        let _ = write!(out, ", about {} left", blocker::age(Duration::from_secs(left)));
    }
    Some(out)
}

/// What holds it back, each in words.
pub(super) fn held_back(entry: &Value) -> impl Iterator<Item = String> {
    list(at(entry, "/progress/held_back")).iter().map(|hold| word(at(hold, "/words")))
}

/// The steps of a statement that were begun.
fn steps_of(out: &mut String, entry: &Value) {
    for (number, step) in list(at(entry, "/begun_steps")).iter().enumerate() {
        let told = |name: &str| word(step.get(name).unwrap_or(&Value::Null));
        let _ = write!(
            out,
            "      step {}: {}, {}, {}",
            number + 1,
            told("statement"),
            told("lock"),
            told("state")
        );
        if let Some(took) = at(step, "/took_ms").as_u64() {
            let _ = write!(out, " after {took} ms");
        }
        let _ = writeln!(out, ", stall at most {} ms", at(step, "/stall_at_most_ms"));
    }
}
