//! What the sessions of one worker share.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use crate::control::{Control, ControlSettings};
use crate::event::clock::Moment;
use crate::live::Live;
use crate::sql::{Memory, Shapes};

use super::eye::MEMORY_BYTES;
use super::relay::{self, Scratch};
use super::settings::{Ready, Serving};

/// What the sessions of one worker share: all of it lives on one core.
pub struct WorkerState {
    pub(super) serving: Arc<Serving>,
    pub(super) scratch: Scratch,
    pub(super) memory: RefCell<Memory>,
    pub(super) shapes: RefCell<Shapes>,
    pub(super) since: Moment,
    hasher: RandomState,
    control: RefCell<Option<(Arc<Ready>, Rc<Control>)>>,
}

impl WorkerState {
    /// A worker without sessions.
    pub fn new(serving: &Arc<Serving>) -> Self {
        Self {
            serving: Arc::clone(serving),
            scratch: relay::scratch(),
            memory: RefCell::new(Memory::new(MEMORY_BYTES)),
            shapes: RefCell::default(),
            since: Moment::now(),
            hasher: RandomState::new(),
            control: RefCell::default(),
        }
    }

    /// A number that tells databases and users apart.
    pub(super) fn place_of(&self, database: &str, user: &str) -> u64 {
        self.hasher.hash_one((database, user))
    }

    /// What runs in the process.
    pub(super) fn live(&self) -> &Live {
        &self.serving.live
    }

    /// The control connections as they are now.
    pub(super) fn control_now(&self) -> Rc<Control> {
        self.control(&self.serving.now())
    }

    /// The control connections under the settings that hold now; a reload begins new ones.
    pub(super) fn control(&self, ready: &Arc<Ready>) -> Rc<Control> {
        let mut slot = self.control.borrow_mut();
        if let Some((under, control)) = &*slot
            && Arc::ptr_eq(under, ready)
        {
            return Rc::clone(control);
        }
        let settings = ready.settings.upstream.control.clone();
        let settings = settings
            .map(|login| ControlSettings::new(login, &ready.upstream).installing(ready.settings.install));
        let control = Rc::new(Control::new(settings));
        *slot = Some((Arc::clone(ready), Rc::clone(&control)));
        control
    }
}
