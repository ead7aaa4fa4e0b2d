//! Trouble with a file that the configuration names, told at the key that names it.

use std::error::Error;

use crate::upstream;

use super::file::File;
use super::key::{Shown, Source};
use super::problem::Problem;

/// The problem of a section's settings; it stands at the key whose file it speaks of.
pub(super) fn problem(file: &File, section: &str, trouble: &upstream::Problem) -> Problem {
    use upstream::Problem as Trouble;
    let path = match trouble {
        Trouble::Unreadable { path, .. } | Trouble::Missing { path, .. } | Trouble::Unusable { path, .. } => {
            Some(path)
        }
        Trouble::NoHost
        | Trouble::Tls(_)
        | Trouble::NoRoots
        | Trouble::SystemRootsNeedFull
        | Trouble::DirectNeedsRequire
        | Trouble::TargetNeedsControl
        | Trouble::NoServerCertificate
        | Trouble::NoClientRoots => None,
    };
    let named = path.map(|path| super::value::quoted(&path.display().to_string()));
    let of_section = |shown: &Shown| shown.path.starts_with(section) && Some(&shown.value) == named.as_ref();
    match file.shown().into_iter().find(of_section) {
        Some(shown) => Problem::new(shown.source, shown.path, chain(trouble)),
        None => Problem::new(Source::Default, section, chain(trouble)),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
