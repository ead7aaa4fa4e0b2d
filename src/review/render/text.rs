//! For people: the source with the words underlined, why it hurts, and what to do.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::base::LockMode;
use crate::hazard::HazardSetting;
use crate::review::alembic;
use crate::review::estimate::{self, Estimate, about};
use crate::review::place::Place;
use crate::review::report::{FileReport, Found, LockTold, Report, StepTold};
use crate::review::step::by_hand_told;

/// How much is told, and with which ornament.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without colour.
    Plain,
    /// With the colours of a terminal.
    Coloured,
}

/// The whole review; `brief` lists the statements that lock only for a moment too.
pub fn text(report: &Report, style: Style, brief: bool) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let mut out = String::new();
    for (file, found) in report.shown() {
        out.push_str(&renderer.render(&[group(file, found)]));
        out.push_str("\n\n");
    }
    if brief {
        report.files.iter().for_each(|file| statements(file, &mut out));
    }
    out.push_str(&summary(report));
    out
}

fn group<'a>(file: &'a FileReport, found: &'a Found) -> Group<'a> {
    let level = if found.level == HazardSetting::Refuse { Level::ERROR } else { Level::WARNING };
    let snippet = Snippet::source(found.at.lines.as_str())
        .line_start(found.at.start.line)
        .path((!found.at.cut).then_some(file.name.as_str()))
        .annotation(AnnotationKind::Primary.span(found.at.span.clone()));
    let title = level.primary_title(found.what.as_str()).id(found.id);
    let mut group = if found.at.cut {
        // Counted in the piece that is shown, the column would be wrong.
        let Place { line, column } = found.at.start;
        title.element(Origin::path(file.name.as_str()).line(line).char_column(column)).element(snippet)
    } else {
        title.element(snippet)
    };
    group = group.element(Level::NOTE.message(found.why.clone()));
    for line in locks(found) {
        group = group.element(Level::NOTE.message(line));
    }
    if let Some(steps) = &found.online {
        let head = if found.in_transaction {
            "outside a transaction lockkeeper runs it online:"
        } else {
            "lockkeeper runs it online:"
        };
        group = group.element(Level::HELP.message(told(head, steps)));
        if found.in_transaction {
            let calls = alembic::calls(steps).join("\n");
            group = group.element(Level::HELP.message(format!("in Alembic:\n{calls}")));
        }
    } else if !found.by_hand.is_empty() {
        group = group.element(Level::HELP.message(told(by_hand_told(&found.by_hand), &found.by_hand)));
        if found.by_hand.iter().any(|step| !step.is_words()) {
            let calls = alembic::calls(&found.by_hand).join("\n");
            group = group.element(Level::HELP.message(format!("in Alembic:\n{calls}")));
        }
    }
    group
}

/// Each lock with who waits, and each work with how long it takes.
fn locks(found: &Found) -> Vec<String> {
    let lock = |lock: &LockTold| {
        format!("{} on {}: {}", lock.mode, estimate::spelled(&lock.relation), lock.blocks())
    };
    let mut lines: Vec<String> = found.locks.iter().map(lock).collect();
    if found.locks_left_out > 0 {
        lines.push(format!("and so on for {} more relations", found.locks_left_out));
    }
    if found.locks_beyond {
        lines.push("strong locks on relations that only a server can name".to_owned());
    }
    if !found.work.is_empty() {
        let time = estimate::total(&found.work);
        let time = time.map_or_else(|| "as long as it works".to_owned(), about);
        let until = if found.in_transaction { ", and on until the transaction ends" } else { "" };
        let bases: Vec<String> = found.work.iter().map(Estimate::basis).collect();
        lines.push(format!("held for {time}{until} ({})", bases.join("; then ")));
    }
    // How long a query or a write takes is another matter.
    let lasting = |lock: &LockTold| lock.mode >= LockMode::ShareUpdateExclusive;
    if found.work.is_empty() && found.locks.iter().any(lasting) {
        let until = if found.in_transaction { "until the transaction ends" } else { "for a moment" };
        lines.push(format!("held {until}, once it is had"));
    }
    lines
}

fn told(head: &str, steps: &[StepTold]) -> String {
    let mut lines = vec![head.to_owned()];
    for step in steps {
        let place = if step.outside { ", outside a transaction" } else { "" };
        let lock = step.lock().map(|lock| format!("  -- {}{place}", lock.mode)).unwrap_or_default();
        let end = if step.is_words() { "" } else { ";" };
        lines.push(format!("{}{end}{lock}", step.sql));
    }
    lines.join("\n")
}

fn statements(file: &FileReport, out: &mut String) {
    for statement in &file.statements {
        let locks: Vec<String> = statement
            .locks
            .iter()
            .map(|lock| format!("{} on {}", lock.mode, estimate::spelled(&lock.relation)))
            .collect();
        let (line, column) = (statement.start.line, statement.start.column);
        let _ = writeln!(out, "{}:{line}:{column}: {}: {}", file.name, statement.tag, locks.join(", "));
    }
}

fn summary(report: &Report) -> String {
    let statements: usize = report.files.iter().map(|file| file.count).sum();
    let (shown, denied) = (report.shown().count(), report.shown().filter(|(_, found)| found.denied).count());
    let allowed = report.findings().filter(|(_, found)| found.allowed.is_some()).count();
    let basis = match (report.basis.live, report.basis.server_version / 10_000) {
        (true, major) => format!("Postgres {major}, sizes from the server"),
        (false, major) => {
            format!("Postgres {major} assumed, sizes unknown: the worst is taken; --url asks a server")
        }
    };
    let files = report.files.len();
    let allowed = if allowed == 0 { String::new() } else { format!(", {allowed} allowed") };
    format!(
        "{statements} statement{} in {files} file{}: {shown} finding{}, {denied} denied{allowed} ({basis})\n",
        plural(statements),
        plural(files),
        plural(shown)
    )
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
