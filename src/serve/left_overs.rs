//! Looks for what is unfinished in the databases: in all of them at the start, and where a plan was cut off.
//!
//! It looks by a connection of its own, on the main thread: no session ever waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::ControlSettings;
use crate::control::left_overs::{Look, look};
use crate::control::standing;
use crate::event::{ControlAbsent, ControlBlind, LeftBehind, clock};
use crate::live::ledger::State;
use crate::live::left_overs::LeftOver;

use super::settings::Serving;

/// Where somebody is at work, or the server gives no answer, it is looked again after so long,
const SOON_FIRST: Duration = Duration::from_millis(100);

/// each time after twice as long, up to this,
const SOON: Duration = Duration::from_secs(2);

/// so often;
const SOON_MAX: u32 = 30;

/// then after so long, as where something was found, so that what is done by hand is seen.
const LATER: Duration = Duration::from_mins(1);

/// Looks until the process ends; needs a `LocalSet`.
pub async fn keep(serving: Arc<Serving>) {
    let left_overs = serving.live.left_overs();
    if let Some(database) = &serving.now().settings.look_at {
        left_overs.ask_once(database);
    }
    let mut unsettled: BTreeMap<String, u32> = BTreeMap::new();
    let mut start = Start::default();
    loop {
        start.look(&serving).await;
        let found = left_overs.all();
        let pause = match unsettled.values().min() {
            Some(tries) if *tries < SOON_MAX => Some(soon(*tries)),
            None if found.is_empty() => None,
            _ => Some(LATER),
        };
        let due = match pause {
            Some(pause) => clock::within(pause, left_overs.due()).await,
            None => Some(left_overs.due().await),
        };
        let due = due.unwrap_or_else(|| {
            let found = found.into_iter().map(|(database, _)| database);
            let mut all: Vec<String> = unsettled.keys().cloned().chain(found).collect();
            all.sort();
            all.dedup();
            all
        });
        for database in due {
            if is_settled(&serving, &database).await {
                unsettled.remove(&database);
            } else {
                let tries = unsettled.entry(database).or_default();
                *tries = tries.saturating_add(1);
            }
        }
    }
}

/// How long to wait after so many looks, of which none has settled it.
fn soon(tries: u32) -> Duration {
    SOON_FIRST.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(SOON)
}

/// The look at the control connection itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Start {
    #[default]
    Due,
    /// There was no answer, and that was said.
    Told,
    Over,
}

impl Start {
    /// Says what the control connection lacks, and asks for a look at every database; again until there is an answer.
    async fn look(&mut self, serving: &Serving) {
        let ready = serving.now();
        let (Some(login), Some(database)) =
            (ready.settings.upstream.control.clone(), ready.settings.look_at.as_deref())
        else {
            return;
        };
        if *self == Self::Over {
            return;
        }
        match standing::look(&ControlSettings::new(login, &ready.upstream), database).await {
            Ok(standing) => {
                *self = Self::Over;
                if !standing.sees {
                    ControlBlind { role: &standing.role }.emit();
                }
                for database in standing.databases {
                    serving.live.left_overs().ask_once(&database);
                    serving.live.lockers().of(&database);
                    serving.live.tasks().ask_once(&database);
                }
            }
            Err(why) if *self == Self::Due => {
                *self = Self::Told;
                ControlAbsent { why: &why }.emit();
            }
            Err(_) => {}
        }
    }
}

/// Looks at one database; false where another look may bring more.
async fn is_settled(serving: &Serving, database: &str) -> bool {
    let ready = serving.now();
    let Some(login) = ready.settings.upstream.control.clone() else { return true };
    // What is being done looks unfinished.
    let busy = |state| matches!(state, State::Running | State::Held);
    let open = serving.live.ledger().open();
    if open.iter().any(|entry| entry.whose.database == database && busy(entry.state)) {
        return false;
    }
    let settings = ControlSettings::new(login, &ready.upstream);
    let Some(Look { found, busy }) = look(&settings, database).await else { return false };
    for LeftOver { what, name, statement, .. } in serving.live.left_overs().note(database, found) {
        LeftBehind { database, what: &what, name: &name, statement: &statement }.emit();
    }
    !busy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_looks_follow_each_other_soon() {
        let pauses = [0, 1, 2, 5, 6, SOON_MAX, u32::MAX].map(|tries| soon(tries).as_millis());
        assert_eq!(pauses, [100, 100, 200, 1_600, 2_000, 2_000, 2_000]);
    }
}
