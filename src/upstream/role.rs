//! Which of several hosts will do: libpq's `target_session_attrs`, asked under the proxy's own role.
//!
//! A client's login cannot be tried on one host and repeated on another, so each host's role is known before it is sent.

use std::sync::Mutex;
use std::time::Duration;

use crate::event::clock::Moment;

use super::ask::{Asker, NoAnswer};
use super::settings::TargetSessionAttrs;

/// How long an answer counts.
const FRESH_FOR: Duration = Duration::from_secs(1);

const ROLE: &str = "SELECT pg_catalog.pg_is_in_recovery(), \
     pg_catalog.current_setting('default_transaction_read_only') OPERATOR(pg_catalog.=) 'on'";

/// What a host is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    recovery: Recovery,
    writes: Writes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recovery {
    Primary,
    Standby,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    Allowed,
    RefusedByDefault,
}

impl Role {
    /// Whether a session on such a host is what `target` asks for.
    pub fn suits(self, target: TargetSessionAttrs) -> bool {
        let read_write = self.recovery == Recovery::Primary && self.writes == Writes::Allowed;
        match target {
            TargetSessionAttrs::Any => true,
            TargetSessionAttrs::ReadWrite => read_write,
            TargetSessionAttrs::ReadOnly => !read_write,
            TargetSessionAttrs::Primary => self.recovery == Recovery::Primary,
            TargetSessionAttrs::Standby | TargetSessionAttrs::PreferStandby => {
                self.recovery == Recovery::Standby
            }
        }
    }
}

/// One host's role, remembered for a moment.
#[derive(Default)]
pub struct RoleMemory(Mutex<Option<(Moment, Role)>>);

impl RoleMemory {
    /// What the host is, asked anew when the last answer is old.
    pub async fn role(&self, asker: &Asker) -> Result<Role, NoAnswer> {
        if let Some(role) = self.remembered() {
            return Ok(role);
        }
        let rows = asker.ask(ROLE, &[]).await?;
        let row = rows.first().ok_or(NoAnswer::Timeout)?;
        let role = Role {
            recovery: if row.try_get(0)? { Recovery::Standby } else { Recovery::Primary },
            writes: if row.try_get(1)? { Writes::RefusedByDefault } else { Writes::Allowed },
        };
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some((Moment::now(), role));
        }
        Ok(role)
    }

    fn remembered(&self) -> Option<Role> {
        let slot = self.0.lock().ok()?;
        slot.filter(|(asked, _)| asked.elapsed() < FRESH_FOR).map(|(_, role)| role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_suit_as_libpq_says() {
        let primary = Role { recovery: Recovery::Primary, writes: Writes::Allowed };
        let frozen = Role { recovery: Recovery::Primary, writes: Writes::RefusedByDefault };
        let standby = Role { recovery: Recovery::Standby, writes: Writes::Allowed };
        let check = |target, expected: [bool; 3]| {
            assert_eq!([primary, frozen, standby].map(|role| role.suits(target)), expected, "{target:?}");
        };
        check(TargetSessionAttrs::Any, [true, true, true]);
        check(TargetSessionAttrs::ReadWrite, [true, false, false]);
        check(TargetSessionAttrs::ReadOnly, [false, true, true]);
        check(TargetSessionAttrs::Primary, [true, true, false]);
        check(TargetSessionAttrs::Standby, [false, false, true]);
        check(TargetSessionAttrs::PreferStandby, [false, false, true]);
    }
}
