//! From sources to settings, or to everything that is wrong.

use std::sync::Arc;

use crate::serve::login::VerifierSource;
use crate::serve::settings::Ready;
use crate::serve::tls::ClientTls;
use crate::upstream::Upstream;

use super::check;
use super::file::File;
use super::files;
use super::key::{Applies, Source};
use super::problem::{Problem, Problems};
use super::settings::Settings;
use super::source::Sources;
use super::suggest;

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// As written, each value with its source.
    pub file: File,
    /// As the modules want it.
    pub settings: Settings,
}

/// What changed from one configuration to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that hold from now on.
    pub taken_up: Vec<String>,
    /// Keys that only a restart takes up.
    pub needs_restart: Vec<String>,
}

/// Reads and checks all sources.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let (file, problems) = sources.read();
    finish(sources, file, problems)
}

/// The same with the file's text at hand.
pub fn load_text(sources: &Sources, text: &str) -> Result<Loaded, Problems> {
    let (file, problems) = sources.read_text(text);
    finish(sources, file, problems)
}

fn finish(sources: &Sources, file: File, mut problems: Vec<Problem>) -> Result<Loaded, Problems> {
    // What could not be read is not wrong in another way too.
    let unread: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
    problems.extend(check::contradictions(&file).into_iter().filter(|it| !unread.contains(&it.key)));
    if problems.is_empty() {
        let settings = Settings::new(&file, &sources.environment);
        Ok(Loaded { file, settings })
    } else {
        problems.sort_by_key(place);
        Err(sources.problems(problems))
    }
}

/// Problems are told in the order of the file, then of the sources that win over it.
const fn place(problem: &Problem) -> (u8, usize) {
    match &problem.source {
        Source::Default => (0, 0),
        Source::Line(line) => (1, *line),
        Source::Variable(_) => (2, 0),
        Source::Flag(_) => (3, 0),
    }
}

impl Loaded {
    /// Reads the files that the configuration names: certificates, keys, authorities.
    pub fn ready(&self, sources: &Sources) -> Result<Ready, Problems> {
        let sessions = &self.settings.sessions;
        let upstream = Upstream::load(sessions.upstream.clone());
        let client_tls = ClientTls::load(&sessions.client_tls);
        let verifiers = VerifierSource::load(&sessions.verifiers);
        let console_users = VerifierSource::load(&sessions.console_users);
        match (upstream, client_tls, verifiers, console_users) {
            (Ok(upstream), Ok(client_tls), Ok(verifiers), Ok(console_users)) => Ok(Ready {
                settings: sessions.clone(),
                upstream: Arc::new(upstream),
                client_tls: Arc::new(client_tls),
                verifiers,
                console_users,
            }),
            (upstream, client_tls, verifiers, console_users) => {
                let found = [
                    ("upstream", upstream.err()),
                    ("listen.tls", client_tls.err()),
                    ("auth", verifiers.err()),
                    ("operator", console_users.err()),
                ];
                let found = found
                    .into_iter()
                    .filter_map(|(section, problem)| Some(files::problem(&self.file, section, &problem?)));
                Err(sources.problems(found.collect()))
            }
        }
    }

    /// What changes when `next` takes this one's place.
    pub fn changes(&self, next: &Self) -> Changes {
        let (old, new) = (self.file.shown(), next.file.shown());
        let mut changes = Changes::default();
        for key in &new {
            let before = old.iter().find(|shown| shown.path == key.path);
            if before.is_some_and(|before| before.value == key.value) {
                continue;
            }
            match key.applies {
                Applies::Reload => changes.taken_up.push(key.path.clone()),
                Applies::Restart => changes.needs_restart.push(key.path.clone()),
            }
        }
        let gone = old.iter().filter(|shown| !new.iter().any(|key| key.path == shown.path));
        changes.taken_up.extend(gone.map(|shown| shown.path.clone()));
        changes
    }
}

impl Sources {
    /// Variables that look like a key's but are none, each with what may have been meant.
    ///
    /// Other `LOCKKEEPER_*` variables are nobody's business: Kubernetes sets some for a service of that name.
    pub fn misspelt_variables(&self) -> Vec<(String, String)> {
        let keys: Vec<_> = File::sections().into_iter().flat_map(|(.., keys)| keys).collect();
        let known: Vec<String> = keys.iter().map(|key| key.variable().to_ascii_lowercase()).collect();
        let names = self.environment.keys().filter(|name| name.starts_with("LOCKKEEPER_"));
        let names = names.filter(|name| !known.contains(&name.to_ascii_lowercase()));
        names
            .filter_map(|name| {
                let near = suggest::nearest_above(0.85, name, known.iter().map(String::as_str))?;
                Some((name.clone(), near.to_ascii_uppercase()))
            })
            .collect()
    }
}
