//! The page: every number on it comes from the run.

use std::fmt::Write as _;

use lockkeeper::traffic::figures::human;

use crate::Options;
use crate::measure::{Measured, STATEMENTS};

/// The whole page.
pub(crate) fn markdown(options: &Options, server: &str, rows: &[Measured]) -> String {
    let mut text = String::from(
        "# A million rows at once\n\n<!-- Written by `./dev bench bulk`: run it instead of changing this. -->\n\n\
         ![What the application and the standby felt](bulk-benchmark.svg)\n\n",
    );
    let _ = write!(
        text,
        "Each statement was run on {server} with a streaming standby on the same machine, over a table of {} rows, while {} connections \
         of an application read and updated single rows, many of them those that the statement writes: as one plain statement; in a loop \
         written by hand, 10000 keys after another, each committed; and as one statement through the proxy. Half of the application came \
         through the proxy, where there was one. `./dev bench bulk --rows {} --clients {}` makes such a run again.\n\n\
         *Longest* is the longest answer that the application got meanwhile, *99.9 %* what nearly all answers took at most, *calm* the longest \
         just before. *Behind* is the furthest that the standby had not replayed, and the longest `replay_lag` that the server told. *WAL* \
         holds what the application wrote, too: the longer it takes, the more.\n\n",
        options.rows, options.clients, options.rows, options.clients,
    );
    text.push_str(
        "| statement | way | longest | 99.9 % | calm | standby behind | WAL | took | tables before | after |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let failed =
            if row.failures > 0 { format!(", **{} queries failed**", row.failures) } else { String::new() };
        let _ = writeln!(
            text,
            "| {} | {}{failed} | {} | {} | {} | {}, {} | {} | {} | {} | {} |",
            row.tag,
            row.way.name(),
            human(row.longest),
            human(row.almost_all),
            human(row.calm),
            megabytes(row.behind.bytes),
            human(row.behind.time),
            megabytes(row.wal),
            human(row.took),
            megabytes(row.size.0),
            megabytes(row.size.1),
        );
    }
    text.push_str("\n## The statements\n\n");
    for statement in &STATEMENTS {
        let _ = writeln!(text, "- `{}`", statement.sql);
    }
    text
}

/// One measurement in a line.
pub(crate) fn line(row: &Measured) -> String {
    format!(
        "longest {} (99.9 %: {}), standby {} behind, {} of WAL, took {}",
        human(row.longest),
        human(row.almost_all),
        megabytes(row.behind.bytes),
        megabytes(row.wal),
        human(row.took)
    )
}

/// `12 MB`
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1 << 20))
}
