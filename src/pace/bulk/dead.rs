//! Dead rows that an `UPDATE` or `DELETE` leaves behind, and who keeps them from being cleaned.

use std::time::Duration;

use super::pressure::Keeper;
use crate::pace::blocker;

/// Somebody who has kept dead rows for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// As `Keeper::who`.
    pub who: String,
    /// How long, for people.
    pub time: String,
}

/// The one whose snapshot is the oldest, and since when it is seen to be.
#[derive(Debug, Default)]
pub(super) struct Oldest(Option<(Keeper, Duration)>);

impl Oldest {
    pub(super) fn see(&mut self, at: Duration, keeper: Option<&Keeper>) {
        let same = self.0.as_ref().filter(|(before, _)| keeper.is_some_and(|keeper| before.is_same(keeper)));
        let since = same.map_or(at, |(_, since)| *since);
        self.0 = keeper.map(|keeper| (keeper.clone(), since));
    }

    /// Who it is and for how long, where that is longer than may be.
    pub(super) fn kept(&self, at: Duration, most: Duration) -> Option<Kept> {
        let (keeper, since) = self.0.as_ref()?;
        let age = keeper.age.unwrap_or_default().max(at.saturating_sub(*since));
        (age >= most).then(|| Kept { who: keeper.who.clone(), time: blocker::age(age) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_keeps_them_for_long_is_told() {
        let keeper = |xmin: &str, age| Keeper { who: "slot \"a\"".into(), xmin: xmin.into(), age };
        let mut oldest = Oldest::default();
        let for_time = |oldest: &Oldest, at| oldest.kept(at, s(300)).map(|kept| kept.time);
        oldest.see(s(0), Some(&keeper("7", None)));
        assert_eq!(for_time(&oldest, s(299)), None);
        oldest.see(s(300), Some(&keeper("7", None)));
        assert_eq!(for_time(&oldest, s(300)).as_deref(), Some("5 min"));
        oldest.see(s(301), Some(&keeper("8", None)));
        assert_eq!(for_time(&oldest, s(302)), None, "it goes on");
        oldest.see(s(303), Some(&keeper("8", Some(s(400)))));
        assert_eq!(for_time(&oldest, s(303)).as_deref(), Some("6 min"));
        oldest.see(s(304), None);
        assert_eq!(for_time(&oldest, s(900)), None);
    }
}
