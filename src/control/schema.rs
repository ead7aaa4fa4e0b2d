//! Schema `lockkeeper`, which holds what is queued in transactions: whether it is there, and its installation.
//!
//! Invariant: what is called in a client's name belongs to the role that installs or to a superuser; anybody else could have
//! put something there that waits for a mightier caller.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::error::SqlState as Code;
use tokio_postgres::{Client, Error as Refused};

use super::{ControlSettings, TRY_AGAIN_AFTER, live};
use crate::base::name::written;
use crate::base::{Notice, SqlState};
use crate::event::clock::{self, Moment};

/// Installs the schema or brings it up to date, in a transaction of its own.
pub const SCRIPT: &str = include_str!("schema.sql");

/// The version that it brings.
pub const VERSION: i32 = 2;

/// A client waits for this at its COMMIT.
const WITHIN: Duration = Duration::from_secs(10);

/// Whether the schema `n` holds what this program has put there, all of it its owner's.
const WHOLE: &str = "(EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) n.oid \
     AND c.relname OPERATOR(pg_catalog.=) 'meta' AND c.relkind OPERATOR(pg_catalog.=) 'r' \
     AND c.relowner OPERATOR(pg_catalog.=) n.nspowner) \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace OPERATOR(pg_catalog.=) n.oid \
     AND p.proowner OPERATOR(pg_catalog.<>) n.nspowner))";

/// An expression for a client's own connection, where there is no other: whether the schema is there, of this version, and a superuser's,
/// so that its functions may be called in anybody's name.
pub fn is_superusers() -> String {
    format!(
        "(pg_catalog.to_regprocedure('lockkeeper.queue(jsonb,boolean)') IS NOT NULL \
         AND EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) a.attrelid \
         JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) t.relnamespace \
         WHERE s.nspname OPERATOR(pg_catalog.=) 'lockkeeper' AND t.relname OPERATOR(pg_catalog.=) 'task' \
         AND a.attname OPERATOR(pg_catalog.=) 'about') \
         AND EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner \
         WHERE n.nspname OPERATOR(pg_catalog.=) 'lockkeeper' AND r.rolsuper AND {WHOLE}))"
    )
}

fn question() -> String {
    format!(
        "SELECT current_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text, \
         r.rolname::pg_catalog.text, r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) current_user, {WHOLE}, \
         (SELECT own.rolsuper FROM pg_catalog.pg_roles own WHERE own.rolname OPERATOR(pg_catalog.=) current_user) \
         FROM (SELECT) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) 'lockkeeper' \
         LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner"
    )
}

/// Whether the proxy may install the schema by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Install {
    /// At first need, where its role may.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// What became of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// There was none.
    Installed,
    /// There was an older one.
    Upgraded {
        /// Its version.
        from: i32,
    },
    /// It is there already.
    Nothing,
}

/// Who has installed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was done.
    pub done: Done,
    /// The database.
    pub database: String,
    /// To whom the schema belongs.
    pub owner: String,
    /// Whether that is a superuser.
    pub superuser: bool,
}

/// Why nothing can be queued in a database.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum NoSchema {
    /// Nobody could install or check it.
    #[error("the proxy has no control connection, by which it would look for schema \"lockkeeper\"")]
    Uncontrolled,
    /// There is no answer.
    #[error("the control connection cannot be had: {0}")]
    Unreachable(String),
    /// It is not there, or too old, and the proxy is not to install it.
    #[error(
        "database {database:?} has no schema \"lockkeeper\" of this version, and ledger.install is \"off\""
    )]
    Off {
        /// The database.
        database: String,
    },
    /// It is not there, or too old, and nobody wants to install it now.
    #[error("database {database:?} has no schema \"lockkeeper\" of this version")]
    Absent {
        /// The database.
        database: String,
    },
    /// The role may not.
    #[error("role {role:?} may not create schema \"lockkeeper\" in database {database:?}")]
    Denied {
        /// The role that has tried.
        role: String,
        /// The database.
        database: String,
    },
    /// It is an old one of somebody else, which only its owner may bring up to date.
    #[error(
        "schema \"lockkeeper\" in database {database:?} is of an older version, and belongs to role {owner:?}"
    )]
    Old {
        /// To whom.
        owner: String,
        /// The database.
        database: String,
    },
    /// It belongs to somebody who could have put anything there.
    #[error(
        "schema \"lockkeeper\" in database {database:?} belongs to role {owner:?}, which is neither {role:?} nor a superuser"
    )]
    Owned {
        /// To whom.
        owner: String,
        /// The role that has looked.
        role: String,
        /// The database.
        database: String,
    },
    /// It is something else.
    #[error("there is a schema \"lockkeeper\" in database {database:?} that is not of this program")]
    Foreign {
        /// The database.
        database: String,
    },
    /// A newer program has installed it.
    #[error(
        "schema \"lockkeeper\" in database {database:?} has version {there}, and this program knows versions up to {VERSION}"
    )]
    Newer {
        /// Its version.
        there: i32,
        /// The database.
        database: String,
    },
    /// The server refuses it for another reason.
    #[error("schema \"lockkeeper\" cannot be installed: {0}")]
    Failed(String),
}

impl NoSchema {
    /// What helps: a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Uncontrolled => "Set control.url, or control.enabled.".to_owned(),
            Self::Unreachable(_) => "Look at control.url, and try again.".to_owned(),
            Self::Absent { .. } => "Install it by lockkeeper init.".to_owned(),
            Self::Off { .. } => {
                "Install it as the control role or a superuser, by lockkeeper init --url postgres://.., or set ledger.install = \"auto\"."
                    .to_owned()
            }
            Self::Denied { role, database } => format!(
                "Run GRANT CREATE ON DATABASE {} TO {}, or install it as a superuser by lockkeeper init --url postgres://..",
                written(database),
                written(role)
            ),
            Self::Old { owner, .. } => {
                format!("Bring it up to date as role {owner:?}, by lockkeeper init --url postgres://..")
            }
            Self::Owned { owner, .. } => format!(
                "Let the control role be {owner:?}, or drop the schema and install it as the control role or a superuser, by lockkeeper \
                 init --url postgres://.."
            ),
            Self::Foreign { .. } => "Rename it, or drop it if nobody needs it.".to_owned(),
            Self::Newer { .. } => "Use a newer lockkeeper.".to_owned(),
            Self::Failed(_) => {
                "Look at it by hand: lockkeeper init --sql prints what would be run.".to_owned()
            }
        }
    }

    /// As an error for a client whose work cannot be queued: `what` says which.
    pub fn notice(&self, what: &str) -> Notice {
        Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, what).detail(sentence(self)).hint(self.hint())
    }
}

fn sentence(error: &NoSchema) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// What is known of the databases of one worker.
#[derive(Debug, Default)]
pub(super) struct Known(RefCell<HashMap<String, Answer>>);

#[derive(Debug)]
struct Answer {
    given: Result<(), NoSchema>,
    at: Moment,
}

impl Known {
    /// The answer of before, where it still counts: that something is missing is soon asked again.
    pub(super) fn answer(&self, database: &str) -> Option<Result<(), NoSchema>> {
        let known = self.0.borrow();
        let Answer { given, at } = known.get(database)?;
        (given.is_ok() || at.elapsed() < TRY_AGAIN_AFTER).then(|| given.clone())
    }

    pub(super) fn learn(&self, database: &str, answer: &Result<(), NoSchema>) {
        self.0.borrow_mut().insert(database.to_owned(), Answer { given: answer.clone(), at: Moment::now() });
    }

    pub(super) fn forget(&self, database: &str) {
        self.0.borrow_mut().remove(database);
    }
}

/// Sees to it that the schema is there, by a connection that ends with it.
pub(super) async fn ensure(settings: &ControlSettings, database: &str) -> Result<(), NoSchema> {
    let working = async {
        let connected = settings.connect(database).await;
        let client = connected.map_err(|error| NoSchema::Unreachable(live::words(&error)))?;
        install_if(&client, settings.install).await.map(|_| ())
    };
    let too_long = || NoSchema::Unreachable(format!("no answer within {} s", WITHIN.as_secs()));
    clock::within(WITHIN, working).await.unwrap_or_else(|| Err(too_long()))
}

/// Installs the schema, or brings it up to date.
pub async fn install(client: &Client) -> Result<Report, NoSchema> {
    install_if(client, Install::Auto).await
}

/// Whether what is there may be called: it belongs to the role that asks, to this one, or to a superuser.
pub async fn check(client: &Client, trusted: Option<&str>) -> Result<(), NoSchema> {
    let place = look(client, trusted).await?;
    match place.version {
        Some(VERSION) => Ok(()),
        Some(there) if there > VERSION => Err(NoSchema::Newer { there, database: place.database }),
        _ => Err(NoSchema::Absent { database: place.database }),
    }
}

async fn install_if(client: &Client, may: Install) -> Result<Report, NoSchema> {
    let place = look(client, None).await?;
    let report = |done| place.report(done);
    let done = match place.version {
        Some(VERSION) => return Ok(report(Done::Nothing)),
        Some(there) if there > VERSION => {
            return Err(NoSchema::Newer { there, database: place.database.clone() });
        }
        _ if may == Install::Off => return Err(NoSchema::Off { database: place.database.clone() }),
        Some(from) => Done::Upgraded { from },
        None => Done::Installed,
    };
    client.batch_execute(SCRIPT).await.map_err(|error| place.refused(&error))?;
    Ok(report(done))
}

/// How it stands in a database.
struct Place {
    role: String,
    superuser: bool,
    database: String,
    owner: Option<String>,
    version: Option<i32>,
}

impl Place {
    fn report(&self, done: Done) -> Report {
        Report {
            done,
            database: self.database.clone(),
            owner: self.owner.clone().unwrap_or_else(|| self.role.clone()),
            superuser: self.superuser || self.owner.as_ref().is_some_and(|owner| *owner != self.role),
        }
    }

    fn refused(&self, error: &Refused) -> NoSchema {
        match error.code() {
            Some(&Code::INSUFFICIENT_PRIVILEGE) => {
                let database = self.database.clone();
                match &self.owner {
                    Some(owner) => NoSchema::Old { owner: owner.clone(), database },
                    None => NoSchema::Denied { role: self.role.clone(), database },
                }
            }
            _ => NoSchema::Failed(live::words(error)),
        }
    }
}

/// Looks, and calls nothing that somebody else could have made.
async fn look(client: &Client, more: Option<&str>) -> Result<Place, NoSchema> {
    let unreachable = |error: Refused| NoSchema::Unreachable(live::words(&error));
    let row = client.query_one(&question(), &[]).await.map_err(unreachable)?;
    let read = || -> Result<_, Refused> {
        let trusted: Option<bool> = row.try_get(3)?;
        let place = Place {
            role: row.try_get(0)?,
            database: row.try_get(1)?,
            owner: row.try_get(2)?,
            version: None,
            superuser: row.try_get(5)?,
        };
        Ok((place, trusted, row.try_get::<_, bool>(4)?))
    };
    let (mut place, trusted, has_meta) = read().map_err(unreachable)?;
    let Some(owner) = &place.owner else { return Ok(place) };
    let database = place.database.clone();
    if trusted != Some(true) && more != Some(owner) {
        return Err(NoSchema::Owned { owner: owner.clone(), role: place.role, database });
    }
    if !has_meta {
        return Err(NoSchema::Foreign { database });
    }
    // A first version, or none, knows no such function.
    let version = client.query_one("SELECT lockkeeper.version()", &[]).await;
    place.version = match version.and_then(|row| row.try_get(0)) {
        Ok(version) => Some(version),
        Err(error) if error.code() == Some(&Code::UNDEFINED_FUNCTION) => None,
        Err(error) => return Err(unreachable(error)),
    };
    Ok(place)
}
