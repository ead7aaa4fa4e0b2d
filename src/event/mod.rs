//! One struct for each thing worth telling, which writes the log line; and the clock.
//!
//! Invariant: nothing else logs at `info` and above, so that every line has its fields in one place.
//! Invariant: what clients send is written through `Clean`, so that no name can forge a line or steer a terminal.

mod clean;
pub mod clock;
mod process;
mod statement;
mod task;
mod trouble;

pub use clean::Clean;
pub use process::{
    Accepting, ConfigurationRefused, ConfigurationReloaded, ControlSocket, FileLimitLow, Frozen, LoginAdvice,
    NeedsRestart, Ordered, SessionPanicked, Started, Stopped, Stopping, Thawed, Unaccepted, VariableUnknown,
};
pub use statement::{
    ClientLeft, CopyHeld, Judged, LeaseOver, Overridden, PortalFreed, SessionBroken, StallCut, step,
};
pub use task::{TaskBegun, TaskEnded, TaskWaits, TasksUnseen};
pub use trouble::{
    ControlAbsent, ControlBlind, ControlSilent, LeftBehind, LoginFailed, PlanCutOff, PressureUnseen,
    Uncontrolled,
};
