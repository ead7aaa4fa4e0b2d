//! What was measured: for each workload, contender and figure one value for each round.

use std::collections::BTreeMap;

use crate::contender::Contender;
use crate::workload::Workload;

/// What a value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Transactions, connections or megabytes per second.
    Rate,
    /// Of a transaction, in microseconds.
    LatencyUs,
    /// The proxy's processor time for a statement, connection or megabyte, in microseconds.
    CpuUs,
    /// Memory of a session that has done little.
    FreshKib,
    /// Memory of a session that has read a big result.
    UsedKib,
}

/// One value.
pub(crate) type Reading = (Figure, f64);

/// All values.
#[derive(Debug, Default)]
pub(crate) struct Results {
    values: BTreeMap<(&'static str, Contender, Figure), Vec<f64>>,
}

impl Results {
    /// Adds those of one round; rounds must come in order.
    pub(crate) fn add(&mut self, workload: &Workload, contender: Contender, readings: Vec<Reading>) {
        for (figure, value) in readings {
            self.values.entry((workload.id, contender, figure)).or_default().push(value);
        }
    }

    /// The median over the rounds.
    pub(crate) fn value(&self, id: &str, contender: Contender, figure: Figure) -> Option<f64> {
        median(self.rounds(id, contender, figure)?.to_vec())
    }

    /// The median of the ratios within each round: what slows a whole round drops out.
    pub(crate) fn ratio(
        &self,
        id: &str,
        figure: Figure,
        (contender, base): (Contender, Contender),
    ) -> Option<f64> {
        let (ours, theirs) = (self.rounds(id, contender, figure)?, self.rounds(id, base, figure)?);
        median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// The median of what the proxy adds to the latency without one.
    pub(crate) fn added_us(&self, id: &str, contender: Contender) -> Option<f64> {
        median(self.added(id, contender)?)
    }

    /// The same as a ratio.
    pub(crate) fn added_ratio(&self, id: &str, (contender, base): (Contender, Contender)) -> Option<f64> {
        let (ours, theirs) = (self.added(id, contender)?, self.added(id, base)?);
        median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// Who was measured, in the order of the columns.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let mut all: Vec<_> = self.values.keys().map(|&(_, contender, _)| contender).collect();
        all.sort();
        all.dedup();
        all
    }

    fn added(&self, id: &str, contender: Contender) -> Option<Vec<f64>> {
        let ours = self.rounds(id, contender, Figure::LatencyUs)?;
        let direct = self.rounds(id, Contender::Direct, Figure::LatencyUs)?;
        Some(ours.iter().zip(direct).map(|(ours, direct)| ours - direct).collect())
    }

    fn rounds(&self, id: &str, contender: Contender, figure: Figure) -> Option<&[f64]> {
        let found = self.values.iter().find(|(key, _)| key.0 == id && key.1 == contender && key.2 == figure);
        found.map(|(_, rounds)| rounds.as_slice())
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(middle.checked_sub(1)?)?, upper))
}
