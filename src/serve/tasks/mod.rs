//! Tasks that were queued in a transaction and that nobody runs: taken up at the start, and now and then.
//!
//! The proxy runs them as a client of itself, so that each is judged, held and carried out like any statement.
//! Invariant: a task runs in a session that has logged in as the role that queued it, by a password that was given to the proxy for
//! that role, if the server wants one. From a session of a mightier role, code of that role's could step out of any `SET ROLE`.

pub mod batch;
pub mod client;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;
use tokio_postgres::error::DbError;

use crate::control::ControlSettings;
use crate::control::tasks::{self as ledger, Look, Task};
use crate::event::clock::{self, Moment};
use crate::event::{TaskBegun, TaskEnded, TaskWaits, TasksUnseen};
use crate::judge::Mode;
use crate::live::Stop;

use super::listener::Accepted;
use super::settings::{Ready, Serving};
use super::worker::Workers;
use batch::{Ended, Told};

/// Where tasks may be queued it is looked so often,
const AGAIN: Duration = Duration::from_secs(30);

/// where there was no answer,
const SOON: Duration = Duration::from_secs(5);

/// and where there is no schema for them, so often.
const SELDOM: Duration = Duration::from_mins(5);

/// What was held back too long or found its table busy is tried again after so long.
const LATER: Duration = Duration::from_mins(10);

/// Looks until the process ends; needs a `LocalSet`.
pub async fn keep(serving: Arc<Serving>, workers: Arc<Workers>) {
    let keeper = Rc::new(Keeper { serving, workers, state: RefCell::default() });
    loop {
        let asked = clock::within(keeper.rest(), keeper.serving.live.tasks().due()).await;
        let due = asked.unwrap_or_else(|| keeper.due());
        for database in due {
            keeper.look(&database).await;
        }
    }
}

struct Keeper {
    serving: Arc<Serving>,
    workers: Arc<Workers>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// When each database is to be looked at.
    next: BTreeMap<String, Moment>,
    /// Whose batches are being run, and where.
    busy: BTreeSet<(String, String)>,
    /// Batches that are to be left alone until then.
    later: BTreeMap<(String, i32), Moment>,
    /// Tasks of which it was said that they wait for somebody.
    told: BTreeSet<(String, i64)>,
    /// Databases of which it was said that the control role does not see the tasks of others.
    blind: BTreeSet<String>,
}

impl Keeper {
    fn rest(&self) -> Duration {
        let next = self.state.borrow().next.values().min().map(|at| at.remaining());
        next.unwrap_or(SELDOM)
    }

    fn due(&self) -> Vec<String> {
        let state = self.state.borrow();
        let due = state.next.iter().filter(|(_, at)| at.remaining().is_zero());
        due.map(|(database, _)| database.clone()).collect()
    }

    /// Looks at one database, and begins with what is left over there.
    async fn look(self: &Rc<Self>, database: &str) {
        let ready = self.serving.now();
        let mut pause = SELDOM;
        if let Some(login) = ready.settings.upstream.control.clone() {
            let settings = ControlSettings::new(login, &ready.upstream);
            let look = ledger::look(&settings, database).await;
            if look.is_none() {
                pause = SOON;
            }
            if let Some(Look::Tasks { tasks, blind }) = look {
                pause = AGAIN;
                if let Some(role) =
                    blind.filter(|_| self.state.borrow_mut().blind.insert(database.to_owned()))
                {
                    TasksUnseen { database, role: &role }.emit();
                }
                self.begin(database, tasks);
            }
        }
        self.state.borrow_mut().next.insert(database.to_owned(), Moment::now().plus(pause));
    }

    /// Begins with the batches of each role, one after the other; no role waits for another.
    fn begin(self: &Rc<Self>, database: &str, tasks: Vec<Task>) {
        let mut left = BTreeMap::<String, Vec<Vec<Task>>>::new();
        for batch in ledger::batches(tasks) {
            if let Some(first) = batch.first().filter(|_| ledger::is_left_over(&batch))
                && self.is_wanted(database, first)
            {
                left.entry(first.queued_by.clone()).or_default().push(batch);
            }
        }
        for (role, batches) in left {
            let key = (database.to_owned(), role);
            if !self.state.borrow_mut().busy.insert(key.clone()) {
                continue;
            }
            let keeper = Rc::clone(self);
            tokio::task::spawn_local(async move {
                for batch in batches {
                    keeper.take_up(&key.0, &batch).await;
                }
                keeper.state.borrow_mut().busy.remove(&key);
                // What was queued meanwhile.
                keeper.serving.live.tasks().ask(&key.0);
            });
        }
    }

    /// Whether it is time for the batch of which this is the first, and changes are made for whoever has queued it.
    fn is_wanted(&self, database: &str, first: &Task) -> bool {
        let state = self.state.borrow();
        let key = (database.to_owned(), first.batch);
        let waits = state.later.get(&key).is_some_and(|at| !at.remaining().is_zero());
        let rules = &self.serving.now().settings.rules;
        let policy = rules.policy_for(database, &first.queued_by, &first.application_name);
        !waits && policy.mode == Mode::Enforce
    }

    async fn take_up(&self, database: &str, batch: &[Task]) {
        let Some(first) = batch.first() else { return };
        if *self.serving.live.stop().borrow() != Stop::Running {
            return;
        }
        let ready = self.serving.now();
        let Some(login) = login(&ready, database, first) else { return };
        let hand = |accepted: Accepted| self.workers.hand(accepted);
        let client = match client::connect(&hand, login, |_: &DbError| ()).await {
            Ok(client) => client,
            Err(error) => return self.waits(database, first, &batch::words(&error)),
        };
        let told = |told: Told<'_>| tell(database, &told);
        match Box::pin(batch::run(&client, batch, &told)).await {
            Ended::Done | Ended::Failed => {}
            Ended::Elsewhere | Ended::Lost(_) => self.leave(database, first, AGAIN),
            Ended::Later(_) => self.leave(database, first, LATER),
            Ended::Refused(why) => self.waits(database, first, &why),
        }
    }

    fn leave(&self, database: &str, task: &Task, pause: Duration) {
        let key = (database.to_owned(), task.batch);
        let mut state = self.state.borrow_mut();
        state.later.retain(|_, at| !at.remaining().is_zero());
        state.later.insert(key, Moment::now().plus(pause));
    }

    /// Says once that somebody has to run a task.
    fn waits(&self, database: &str, task: &Task, why: &str) {
        self.leave(database, task, LATER);
        if self.state.borrow_mut().told.insert((database.to_owned(), task.id)) {
            let (id, title, queued_by) = (task.id, task.title.as_str(), task.queued_by.as_str());
            TaskWaits { database, id, title, queued_by, why }.emit();
        }
    }
}

/// The login of the role that has queued a task; `None` where the proxy has none of its own to begin with.
fn login(ready: &Ready, database: &str, task: &Task) -> Option<Config> {
    let control = ready.settings.upstream.control.as_ref()?;
    let mut login = Config::new();
    login.user(&task.queued_by).dbname(database).application_name(&task.application_name);
    // One that serves only with channel binding must not be given away without.
    let unbound = control.get_channel_binding() != ChannelBinding::Require;
    if control.get_user() == Some(task.queued_by.as_str())
        && let Some(password) = control.get_password().filter(|_| unbound)
    {
        login.password(password);
    } else if let Some(password) = ready.settings.passwords.of(database, &task.queued_by) {
        login.password(password);
    }
    Some(login)
}

fn tell(database: &str, told: &Told<'_>) {
    match told {
        Told::Begun(task) => {
            let (id, title, queued_by) = (task.id, task.title.as_str(), task.queued_by.as_str());
            TaskBegun { database, id, title, queued_by }.emit();
        }
        Told::Done(task) | Told::There(task) | Told::Moot(task) => {
            TaskEnded { database, id: task.id, failure: None }.emit();
        }
        Told::Failed(task, why) => TaskEnded { database, id: task.id, failure: Some(why) }.emit(),
    }
}
