//! How many sessions there are, in total and of each user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::base::{Notice, SqlState};

/// How many sessions there may be; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// In total.
    pub connections: Option<u32>,
    /// Of one user.
    pub connections_per_user: Option<u32>,
}

/// Why a session is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `limits.connections` is reached.
    #[error("sorry, too many clients already")]
    TooMany,
    /// `limits.connections_per_user` is reached.
    #[error("too many connections for role")]
    TooManyOfUser,
    /// The process is told to stop.
    #[error("the proxy is shutting down")]
    Stopping,
}

impl Refused {
    /// What the client is told, in Postgres' words where it has some.
    pub fn notice(self, user: &str) -> Notice {
        match self {
            Self::TooMany => Notice::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
                .detail("The proxy has reached limits.connections."),
            Self::TooManyOfUser => Notice::fatal(
                SqlState::TOO_MANY_CONNECTIONS,
                format!("too many connections for role \"{user}\""),
            )
            .detail("The proxy has reached limits.connections_per_user."),
            Self::Stopping => Notice::fatal(SqlState::CANNOT_CONNECT_NOW, "the proxy is shutting down"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Seats {
    total: AtomicU32,
    users: DashMap<Arc<str>, u32>,
}

/// One session's place; dropping it makes room.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    user: Arc<str>,
}

impl Seats {
    pub(super) fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn take(seats: &Arc<Self>, user: &str, limits: &Limits) -> Result<Seat, Refused> {
        let total_max = limits.connections.unwrap_or(u32::MAX);
        let below = |total: u32| (total < total_max).then_some(total + 1);
        if seats.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_err() {
            return Err(Refused::TooMany);
        }
        if let Some(user) = seats.count_user(user, limits.connections_per_user.unwrap_or(u32::MAX)) {
            return Ok(Seat { seats: Arc::clone(seats), user });
        }
        seats.total.fetch_sub(1, Ordering::Relaxed);
        Err(Refused::TooManyOfUser)
    }

    fn count_user(&self, user: &str, max: u32) -> Option<Arc<str>> {
        match self.users.entry(Arc::from(user)) {
            Entry::Occupied(mut entry) if *entry.get() < max => {
                *entry.get_mut() += 1;
                Some(Arc::clone(entry.key()))
            }
            Entry::Vacant(entry) if max > 0 => Some(Arc::clone(entry.insert(1).key())),
            Entry::Occupied(_) | Entry::Vacant(_) => None,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.total.fetch_sub(1, Ordering::Relaxed);
        if let Entry::Occupied(mut entry) = self.seats.users.entry(Arc::clone(&self.user)) {
            if *entry.get() > 1 {
                *entry.get_mut() -= 1;
            } else {
                // Users come and go; a map that keeps every name ever seen would grow without bound.
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: u32, per_user: u32) -> Limits {
        Limits { connections: Some(connections), connections_per_user: Some(per_user) }
    }

    #[test]
    fn seats_are_counted_and_given_back() {
        let seats = Arc::new(Seats::default());
        let limits = limits(3, 2);
        let ann = Seats::take(&seats, "ann", &limits).expect("room");
        let _ann = Seats::take(&seats, "ann", &limits).expect("room");
        assert_eq!(Seats::take(&seats, "ann", &limits).err(), Some(Refused::TooManyOfUser));
        let bob = Seats::take(&seats, "bob", &limits).expect("room");
        assert_eq!(Seats::take(&seats, "eve", &limits).err(), Some(Refused::TooMany));
        drop(ann);
        drop(bob);
        assert_eq!((seats.total(), seats.users.len()), (1, 1));
        let _ann = Seats::take(&seats, "ann", &limits).expect("room");
    }

    #[test]
    fn many_threads_never_pass_the_limit() {
        let seats = Arc::new(Seats::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let seat = Seats::take(&seats, "ann", &limits(2, 2));
                        assert!(seats.users.get("ann").is_none_or(|count| *count <= 2));
                        drop(seat);
                    }
                });
            }
        });
        assert_eq!((seats.total(), seats.users.len()), (0, 0));
    }
}
