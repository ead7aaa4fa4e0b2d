//! Keeps in mind which functions may lock: looked for where sessions are, when one is made, and now and then.
//!
//! It looks by a connection of its own, on the main thread: no session ever waits for it.

use std::sync::Arc;

use crate::control::ControlSettings;
use crate::control::lockers::look;
use crate::event::clock::{self, Moment};
use crate::live::Live;
use crate::live::lockers::AGAIN;
use crate::sql::Script;
use crate::sql::lockers::made_by;

use super::settings::Serving;

/// Looks until the process ends; needs a `LocalSet`.
pub async fn keep(serving: Arc<Serving>) {
    let lockers = serving.live.lockers();
    let mut all_looked = Moment::now();
    loop {
        let left = AGAIN.saturating_sub(all_looked.elapsed());
        let due = clock::within(left, lockers.due()).await.unwrap_or_else(|| {
            all_looked = Moment::now();
            lockers.in_use()
        });
        for database in due {
            let ready = serving.now();
            let Some(login) = ready.settings.upstream.control.clone() else { continue };
            if let Some(found) = look(&ControlSettings::new(login, &ready.upstream), &database).await {
                lockers.note(&database, found);
            }
        }
    }
}

/// Whether something in it makes a function or procedure.
pub(super) fn makes_functions(script: &Script) -> bool {
    script.statements.iter().any(|statement| matches!(statement.tag, "CREATE FUNCTION" | "CREATE PROCEDURE"))
}

/// Keeps in mind what a message makes: its session may call it before anybody else sees it.
pub(super) fn note_made(live: &Live, database: &str, script: &Script) {
    if !makes_functions(script) {
        return;
    }
    for statement in &script.statements {
        let text = script.text.as_bytes().get(statement.span.clone()).unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        if let Some((name, ddl)) = made_by(&text, script.dialect.standard_conforming_strings) {
            live.lockers().made(database, &name, ddl);
        }
    }
    live.lockers().ask_again(database);
}
