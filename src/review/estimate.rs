//! How long work takes, as far as bytes tell.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{LockMode, RelationName};
use crate::effects::{Cause, Effects, Task, Work};

/// How long one piece of work takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// What is done.
    pub task: Task,
    /// What is read or written.
    pub relation: RelationName,
    /// The lock that is held on it meanwhile.
    pub under: LockMode,
    /// Its size; `None` when nobody knows.
    pub bytes: Option<u64>,
}

/// Bytes in a second, assumed.
///
/// On the slow side of what a cloud server with a network disk does, since the table that matters is not in memory:
/// - a scan reads in order, as fast as such a disk gives (gp3: 125 to 1,000 MB/s);
/// - an index build reads, sorts and writes, and is bound by the sort;
/// - a rewrite reads, writes table and WAL, and builds every index again.
const fn rate(task: Task) -> u64 {
    const MB: u64 = 1_000_000;
    match task {
        Task::Scan => 200 * MB,
        Task::BuildIndex => 50 * MB,
        Task::Rewrite => 40 * MB,
    }
}

const GB: u64 = 1_000_000_000;

impl Estimate {
    /// How long it takes; `None` when nobody knows the size.
    pub fn time(&self) -> Option<Duration> {
        self.bytes.map(|bytes| Duration::from_millis(bytes / (rate(self.task) / 1000)))
    }

    /// `scan`, `index build`, `rewrite`
    pub const fn task_name(&self) -> &'static str {
        match self.task {
            Task::Scan => "scan",
            Task::BuildIndex => "index build",
            Task::Rewrite => "rewrite",
        }
    }

    /// `scan of orders: 40 GB at an assumed 200 MB/s`
    pub fn basis(&self) -> String {
        let (name, relation) = (self.task_name(), spelled(&self.relation));
        let rate = size(rate(self.task));
        match self.bytes {
            Some(bytes) => format!("{name} of {relation}: {} at an assumed {rate}/s", size(bytes)),
            None => {
                format!("{name} of {relation}: size unknown; {} per GB at an assumed {rate}/s", self.per_gb())
            }
        }
    }

    fn per_gb(&self) -> String {
        format!("{} s", GB / rate(self.task))
    }
}

/// The estimates for everything that a statement does while others can meet its locks.
///
/// What the parts of an `ALTER TABLE` ask of one table is done in one pass over it (`ATRewriteTables` in `tablecmds.c`).
pub(super) fn of(effects: &Effects) -> Vec<Estimate> {
    passes(&effects.work)
}

fn passes(work: &[Work]) -> Vec<Estimate> {
    let mut felt: Vec<&Work> = Vec::new();
    let mut passes = BTreeMap::new();
    for work in work.iter().filter(|work| work.exposed) {
        if !in_one_pass(work) {
            felt.push(work);
            continue;
        }
        let place = *passes.entry(&work.relation).or_insert(felt.len());
        match felt.get_mut(place) {
            None => felt.push(work),
            Some(pass) if pass.task == Task::Scan => *pass = work,
            Some(_) => {}
        }
    }
    felt.iter()
        .map(|work| Estimate {
            task: work.task,
            relation: work.relation.clone(),
            under: work.under,
            bytes: work.bytes,
        })
        .collect()
}

/// Whether it shares its pass: rewrites, and checks of the rows themselves. Foreign keys and indexes come after.
fn in_one_pass(work: &Work) -> bool {
    let of_rows = matches!(
        work.cause,
        Cause::Check
            | Cause::ColumnCheck
            | Cause::NotNull
            | Cause::NullableKey
            | Cause::ConstrainedDomain
            | Cause::TypeCheck
    );
    work.task == Task::Rewrite || (work.task == Task::Scan && of_rows)
}

/// How long all of it takes; `None` when a part of it is unknown.
pub fn total(estimates: &[Estimate]) -> Option<Duration> {
    estimates.iter().map(Estimate::time).sum()
}

/// A relation's name as people write it.
pub(super) fn spelled(name: &RelationName) -> String {
    crate::plan::by_hand::spelled(name)
}

/// A time with one unit: a guess has no more digits than that.
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => "less than 1 s".to_owned(),
        1..=90 => format!("about {seconds} s"),
        91..=5400 => format!("about {} min", (seconds + 30) / 60),
        _ => format!("about {}.{} h", seconds / 3600, seconds % 3600 / 360),
    }
}

/// A size in decimal units, as rates are.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    let fits = UNITS.into_iter().find(|(unit, _)| bytes >= *unit);
    let Some((unit, name)) = fits else { return format!("{bytes} bytes") };
    let (whole, tenth) = (bytes / unit, bytes % unit / (unit / 10));
    if whole >= 10 || tenth == 0 { format!("{whole} {name}") } else { format!("{whole}.{tenth} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(task: Task, bytes: Option<u64>) -> String {
        let estimate =
            Estimate { task, relation: RelationName::bare("orders"), under: LockMode::Share, bytes };
        let time = estimate.time().map_or_else(|| "unknown".to_owned(), about);
        format!("{time} | {}", estimate.basis())
    }

    #[test]
    fn times_follow_from_bytes_and_rates() {
        assert_eq!(
            shown(Task::Scan, Some(40 * GB)),
            "about 3 min | scan of orders: 40 GB at an assumed 200 MB/s"
        );
        assert_eq!(
            shown(Task::Rewrite, Some(1300 * GB)),
            "about 9.0 h | rewrite of orders: 1.3 TB at an assumed 40 MB/s"
        );
        assert_eq!(
            shown(Task::BuildIndex, Some(0)),
            "less than 1 s | index build of orders: 0 bytes at an assumed 50 MB/s"
        );
        assert_eq!(
            shown(Task::BuildIndex, None),
            "unknown | index build of orders: size unknown; 20 s per GB at an assumed 50 MB/s"
        );
    }

    #[test]
    fn one_pass_serves_all_parts() {
        let work = |task, cause, relation: &str| Work {
            task,
            cause,
            relation: RelationName::bare(relation),
            under: LockMode::AccessExclusive,
            part: 0,
            exposed: true,
            bytes: None,
        };
        let check = |work: &[Work], expected: &[&str]| {
            let told = passes(work);
            let told: Vec<_> =
                told.iter().map(|it| format!("{} {}", it.task_name(), it.relation.name)).collect();
            assert_eq!(told, expected);
        };
        let (check_scan, null) = (work(Task::Scan, Cause::Check, "t"), work(Task::Scan, Cause::NotNull, "t"));
        let (rewrite, key) =
            (work(Task::Rewrite, Cause::TypeChange, "t"), work(Task::Scan, Cause::ForeignKey, "t"));
        let other = work(Task::Scan, Cause::Check, "u");
        check(&[check_scan.clone(), null.clone(), other], &["scan t", "scan u"]);
        check(&[null.clone(), rewrite.clone(), check_scan.clone()], &["rewrite t"]);
        check(&[check_scan, key.clone(), key], &["scan t", "scan t", "scan t"]);
        check(
            &[rewrite.clone(), rewrite, work(Task::BuildIndex, Cause::Unique, "t")],
            &["rewrite t", "index build t"],
        );
    }

    #[test]
    fn sizes_have_two_digits() {
        assert_eq!([999, 8192, 1_550_000, 15_500_000].map(size), ["999 bytes", "8.1 kB", "1.5 MB", "15 MB"]);
    }
}
