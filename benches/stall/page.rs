//! The page: every number on it comes from the run.

use std::fmt::Write as _;

use lockkeeper::traffic::figures::human;

use crate::options::Options;
use crate::results::{MAX_STALL, Measured, Row, Way};

/// The whole page.
pub(crate) fn markdown(options: &Options, server: &str, rows: &[Row]) -> String {
    let mut text = String::from(
        "# What the application waits\n\n<!-- Written by `./dev bench stall`: run it instead of changing this. -->\n\n\
         ![The longest wait of the application, operation by operation](stall.svg)\n\n",
    );
    let _ = write!(
        text,
        "Each operation was run on {server}, once straight and once through the proxy, while {} connections of an application \
         read, updated and inserted single rows; then again while somebody read the tables in a transaction of {} s. The \
         biggest table had {} rows. Half of the application came through the proxy and half past it. `{}` makes such a run \
         again.\n\n",
        options.clients,
        options.reading().as_secs(),
        options.rows,
        options.command(),
    );
    let _ = writeln!(
        text,
        "*Longest* is the longest answer that the application got meanwhile, *99.9 %* what nearly all answers took at most. \
         *In a queue* is the longest that Postgres itself showed one of its connections waiting for a lock of a table; what \
         is longer than that is the machine's doing, as *calm* shows: the longest answer just before the statement. **!** \
         marks a wait in a queue beyond `max_stall` ({}).",
        human(MAX_STALL),
    );
    for reader in [false, true] {
        let title = if reader { "While somebody reads the tables" } else { "Without a long reader" };
        let _ = write!(text, "\n## {title}\n\n");
        text.push_str(
            "| operation | straight: longest | in a queue | took | through: longest | 99.9 % | in a queue | calm | took | same schema |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
        for row in rows {
            if let (Some(straight), Some(through)) =
                (row.of(Way::Straight, reader), row.of(Way::Through, reader))
            {
                line(&mut text, row, straight, through);
            }
        }
    }
    conclude(&mut text, rows);
    text.push_str("\n## The statements\n\n");
    for row in rows {
        let _ = writeln!(text, "- {}: `{}`", row.operation.id, row.operation.sql);
    }
    text
}

fn line(text: &mut String, row: &Row, straight: &Measured, through: &Measured) {
    let same = match (row.is_same(), &through.end) {
        (true, _) => "yes",
        (false, Ok(_)) => "**no**",
        (false, Err(_)) => "**failed**",
    };
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {same} |",
        row.operation.id,
        human(straight.longest),
        queued(straight),
        human(straight.took),
        human(through.longest),
        human(through.almost_all),
        queued(through),
        human(through.calm),
        human(through.took),
    );
}

fn queued(measured: &Measured) -> String {
    let mark = if measured.is_over() { " **!**" } else { "" };
    format!("{}{mark}", human(measured.queued))
}

/// What the tables come down to, and whatever is not as it should be.
fn conclude(text: &mut String, rows: &[Row]) {
    let all = |way: Way| rows.iter().flat_map(move |row| [row.of(way, false), row.of(way, true)]).flatten();
    let longest = |way| human(all(way).map(|one| one.queued).max().unwrap_or_default());
    let over = all(Way::Through).filter(|one| one.is_over()).count();
    let _ = write!(
        text,
        "\nThe longest wait in a queue: {} straight, {} through the proxy; beyond `max_stall` through the proxy: {over} of {}. \
         Queries that failed through the proxy: {}.\n",
        longest(Way::Straight),
        longest(Way::Through),
        all(Way::Through).count(),
        all(Way::Through).map(|one| one.failures).sum::<u64>(),
    );
    for row in rows.iter().filter(|row| !row.is_same()) {
        let _ = write!(text, "\n`{}` does not end alike:\n\n", row.operation.id);
        for difference in row.differences() {
            let _ = writeln!(text, "    {difference}");
        }
    }
}
