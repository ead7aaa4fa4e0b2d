//! What was measured, as plain data.

use std::time::Duration;

use lockkeeper::traffic::figures::human;

use crate::operations::Operation;

/// What is promised: `max_stall` as it is configured by default.
pub(crate) const MAX_STALL: Duration = Duration::from_millis(100);

/// A look into the queues comes a little late, and so does whoever is woken up.
const LATE: Duration = Duration::from_millis(10);

/// Which way the statement takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Straight,
    Through,
}

/// One measurement of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) way: Way,
    /// Whether somebody reads the tables meanwhile.
    pub(crate) reader: bool,
}

impl Case {
    const fn new(way: Way, reader: bool) -> Self {
        Self { way, reader }
    }

    /// In the order in which they are measured.
    pub(crate) const ALL: [Self; 4] = [
        Self::new(Way::Straight, false),
        Self::new(Way::Through, false),
        Self::new(Way::Straight, true),
        Self::new(Way::Through, true),
    ];

    /// The database that it works in.
    pub(crate) const fn database(self) -> &'static str {
        match (self.way, self.reader) {
            (Way::Straight, false) => "straight_alone",
            (Way::Through, false) => "through_alone",
            (Way::Straight, true) => "straight_read",
            (Way::Through, true) => "through_read",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// The application's longest answer in the calm before.
    pub(crate) calm: Duration,
    /// Its longest answer while the statement ran.
    pub(crate) longest: Duration,
    /// What 999 of 1,000 answers took at most meanwhile.
    pub(crate) almost_all: Duration,
    /// The longest time that Postgres showed one of its connections in a lock queue.
    pub(crate) queued: Duration,
    /// How long the statement took.
    pub(crate) took: Duration,
    /// Queries that failed.
    pub(crate) failures: u64,
    /// What the catalogue said afterwards, or why the statement failed.
    pub(crate) end: Result<String, String>,
}

impl Measured {
    /// Whether somebody waited in a lock queue for longer than is promised.
    pub(crate) fn is_over(&self) -> bool {
        self.queued > MAX_STALL + LATE
    }
}

/// All measurements of an operation.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) operation: &'static Operation,
    measured: Vec<(Case, Measured)>,
}

impl Row {
    pub(crate) const fn new(operation: &'static Operation) -> Self {
        Self { operation, measured: Vec::new() }
    }

    pub(crate) fn add(&mut self, case: Case, measured: Measured) {
        self.measured.push((case, measured));
    }

    pub(crate) fn of(&self, way: Way, reader: bool) -> Option<&Measured> {
        let wanted = Case { way, reader };
        self.measured.iter().find(|(case, _)| *case == wanted).map(|(_, measured)| measured)
    }

    /// Whether all ways ended in the same schema.
    pub(crate) fn is_same(&self) -> bool {
        let mut ends = self.measured.iter().map(|(_, measured)| &measured.end);
        let first = ends.next();
        first.is_some_and(Result::is_ok) && ends.all(|end| Some(end) == first)
    }

    /// What differs, in one line each; nothing where all is the same.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut all = Vec::new();
        let first = self.measured.first().and_then(|(_, measured)| measured.end.as_ref().ok());
        for (case, measured) in &self.measured {
            match (&measured.end, first) {
                (Err(why), _) => all.push(format!("{}: {why}", case.database())),
                (Ok(end), Some(first)) => {
                    let only = |one: &str, other: &str, sign: char| {
                        let other: Vec<_> = other.lines().collect();
                        let lines = one.lines().filter(|line| !other.contains(line));
                        lines.map(|line| format!("{}: {sign} {line}", case.database())).collect::<Vec<_>>()
                    };
                    all.extend(only(first, end, '-'));
                    all.extend(only(end, first, '+'));
                }
                (Ok(_), None) => {}
            }
        }
        all
    }
}

/// One measurement in one line, for the person who waits.
pub(crate) fn line(case: Case, measured: &Measured) -> String {
    let failed = measured.end.as_ref().err().map(|why| format!(", FAILED: {why}")).unwrap_or_default();
    format!(
        "{:16} calm {:>8}  longest {:>8}  99.9 % {:>8}  in a queue {:>8}{}  took {:>8}  failed queries {}{failed}",
        case.database(),
        human(measured.calm),
        human(measured.longest),
        human(measured.almost_all),
        human(measured.queued),
        if measured.is_over() { " !" } else { "  " },
        human(measured.took),
        measured.failures,
    )
}
