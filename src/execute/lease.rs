//! The lease on the strong locks of an open transaction: while none of its guarded statements runs, somebody looks who waits for
//! them, and past `max_stall` the locks go.
//!
//! Invariant: nobody looks for a session whose transaction holds no strong lock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::control::Control;
use crate::control::victims::Blocking;
use crate::event::clock::{self, Moment};
use crate::judge::Policy;
use crate::live::Live;
use crate::pace::stall::{Next, Sample, Stall};
use crate::session::repeat::{Repeat, Unfit};
use crate::upstream::{Link, Lost};

use super::catalogue::SessionSettings;
use super::stall::waited;
use super::{Place, repeat};

/// What is known of a transaction that holds strong locks.
#[derive(Debug)]
pub struct Lease {
    /// The session's settings, as the last guarded statement has found them.
    pub session: SessionSettings,
    /// The policy that it was under.
    pub policy: Policy,
    /// The transaction was rolled back upstream, unseen by its client.
    pub lapsed: Option<Lapsed>,
    /// Who waits.
    pub seen: Rc<RefCell<Seen>>,
}

/// A transaction that was rolled back while its client was silent.
#[derive(Debug)]
pub struct Lapsed {
    /// As it is sent once more; why not, if it cannot be.
    pub repeat: Result<Repeat, Unfit>,
    /// Who waited.
    pub overdue: Overdue,
}

/// Others have waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// How many.
    pub victims: usize,
    /// The longest of their waits.
    pub longest: Duration,
}

impl Overdue {
    fn story(self, max_stall: Duration) -> String {
        waited(self.victims, "for its locks", (self.longest, max_stall))
    }
}

impl Lease {
    /// On the terms of the last guarded statement.
    pub fn new(session: &SessionSettings, policy: &Policy) -> Self {
        let seen = Rc::new(RefCell::new(Seen::new()));
        Self { session: session.clone(), policy: policy.clone(), lapsed: None, seen }
    }

    /// The same transaction on the terms of another guarded statement.
    pub fn again(&mut self, session: &SessionSettings, policy: &Policy) {
        (self.session, self.policy) = (session.clone(), policy.clone());
    }

    /// What the client of a transaction hears that cannot be brought back; what it was at `meanwhile` is a sentence.
    pub fn lost(&self, meanwhile: &str, overdue: Overdue, unfit: &Unfit) -> Notice {
        lost(meanwhile, (overdue, self.policy.max_stall), unfit)
    }

    /// What the client hears of its statement that was cancelled.
    pub fn cut(&self, overdue: Overdue) -> Notice {
        let story = overdue.story(self.policy.max_stall);
        Notice::error(
            SqlState::LOCK_NOT_AVAILABLE,
            "canceling statement because others waited for locks of its transaction",
        )
        .detail(story)
        .hint(HINT)
    }
}

/// The same.
pub(super) fn lost(meanwhile: &str, (overdue, max_stall): (Overdue, Duration), unfit: &Unfit) -> Notice {
    let story = overdue.story(max_stall);
    Notice::error(
        SqlState::LOCK_NOT_AVAILABLE,
        "transaction was rolled back because others waited for its locks",
    )
    .detail(format!("{meanwhile} {story} It cannot be repeated, since {unfit}."))
    .hint(HINT)
}

const HINT: &str = "Run the whole transaction again. Let what takes long, and pauses, come before the statements that lock, or SET \
                    lockkeeper.max_stall to let others wait longer.";

/// What was seen of those who wait behind a session's strong locks; kept while its transaction is open, whatever it does between.
#[derive(Debug)]
pub struct Seen {
    /// Those who wait, each with the last moment at which it was not seen to.
    waiting: HashMap<i32, Moment>,
    /// When it was looked last.
    at: Moment,
    longest: Duration,
}

impl Seen {
    /// Nobody, so far.
    pub(super) fn new() -> Self {
        Self { waiting: HashMap::new(), at: Moment::now(), longest: Duration::ZERO }
    }
}

/// A look at those who wait: whether that was for too long.
async fn look(
    seen: &RefCell<Seen>,
    (control, live): (&Control, &Live),
    (place, stall): (&Place, &Stall),
) -> Option<Overdue> {
    let at = Moment::now();
    let Some(behind) = control.behind(&place.database, place.pid, Blocking::StrongOnRelations).await else {
        // Nobody knows, and who asks again at once would never rest.
        let mut seen = seen.borrow_mut();
        (seen.at, seen.longest) = (at, Duration::ZERO);
        return None;
    };
    let ours = live.ledger().processes();
    let mut seen = seen.borrow_mut();
    let (mut now, mut longest) = (HashMap::new(), Duration::ZERO);
    for victim in &behind.victims {
        if u32::try_from(victim.pid).is_ok_and(|pid| ours.contains(&pid)) {
            continue;
        }
        let unseen = seen.waiting.get(&victim.pid).copied().unwrap_or(seen.at);
        longest = longest.max(victim.waited.unwrap_or_else(|| unseen.elapsed()));
        now.insert(victim.pid, unseen);
    }
    *seen = Seen { waiting: now, at, longest };
    let over = matches!(stall.next(&Sample { longest }), Next::Cancel);
    over.then_some(Overdue { victims: seen.waiting.len(), longest })
}

/// Waits until others have waited for too long behind a session's strong locks.
pub async fn until_overdue(
    seen: Rc<RefCell<Seen>>,
    (control, live): (impl Deref<Target = Control>, &Live),
    place: &Place,
    max_stall: Duration,
) -> Overdue {
    let stall = Stall::new(max_stall);
    loop {
        let (longest, at) = {
            let seen = seen.borrow();
            (seen.longest, seen.at)
        };
        if let Next::Look { after } = stall.next(&Sample { longest }) {
            clock::pause(after.saturating_sub(at.elapsed())).await;
        }
        if let Some(overdue) = look(&seen, (&*control, live), (place, &stall)).await {
            return overdue;
        }
    }
}

impl Lease {
    /// Whether others have waited for too long, where it is time to look: a session that never rests between its messages is watched
    /// by none but itself. What comes next may take as long again without a look.
    pub async fn overdue(&self, (control, live): (&Control, &Live), place: &Place) -> Option<Overdue> {
        let stall = Stall::new(self.policy.max_stall / 2);
        let (longest, at) = {
            let seen = self.seen.borrow();
            (seen.longest, seen.at)
        };
        match stall.next(&Sample { longest }) {
            Next::Look { after } if at.elapsed() < after => None,
            Next::Look { .. } | Next::Cancel => look(&self.seen, (control, live), (place, &stall)).await,
        }
    }
}

/// Rolls the transaction back upstream; to its client it stays open.
pub async fn lapse(link: &mut Link, overdue: Overdue) -> Result<Lapsed, Lost> {
    let mut repeat = link.tracker.repeat();
    let transaction = repeat::set_aside(link).await?;
    if let Ok(fit) = &mut repeat
        && let Some(unfit) = repeat::calls_anything(link, fit).await?
    {
        repeat = Err(unfit);
    }
    link.tracker.portal_closed();
    link.tracker.put_transaction(transaction);
    link.tracker.stop_at_anything();
    Ok(Lapsed { repeat, overdue })
}
