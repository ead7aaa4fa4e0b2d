//! The reference page and the example file, written from the table of keys.

use std::fmt::Write as _;

use super::file::File;
use super::key::{Applies, Key, Section as _};
use super::peak::Peak;
use super::rule::Rule;

/// Where the page stands.
pub const PAGE: &str = "docs/configuration.md";

/// Where the example stands.
pub const EXAMPLE: &str = "config/lockkeeper.toml";

const HEAD: &str = "\
# Configuration

<!-- Written by `./dev docs` from src/config/file.rs: change it there. -->

`lockkeeper serve` works without any configuration. What is set comes from, each winning over the one before:

1. the defaults below; for `upstream.hosts` also libpq's `PGHOST` and `PGPORT`,
2. the file given by `--config` or `LOCKKEEPER_CONFIG`, in TOML ([an example with every key](../config/lockkeeper.toml)),
3. environment variables: `LOCKKEEPER_` and the key's path in capitals with `_` for `.`, such as
   `LOCKKEEPER_GUARD_MAX_STALL=50ms`; items of a list are separated by commas,
4. flags of the command line.

`lockkeeper config` prints every value with its source, `lockkeeper config --check` only what is wrong. All problems are told
at once, each with its line; a file with a problem changes nothing. On SIGHUP the file is read again, and TLS certificates
with it; no session is dropped. Keys marked *restart* are only read at the start.

Durations are whole numbers with a unit (`us`, `ms`, `s`, `min`, `h`, `d`), sizes likewise (`B`, `kB`, `MB`, `GB`, `TB`, 1024
apart). `\"off\"` switches a limit off where the key says so.
";

/// The reference page.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    for (path, doc, keys) in File::sections() {
        section(&mut out, &format!("[{path}]"), doc, &keys);
    }
    section(&mut out, "[[rule]]", Rule::DOC, &Rule::keys());
    section(&mut out, "[[peak]]", Peak::DOC, &Peak::keys());
    out
}

fn section(out: &mut String, title: &str, doc: &str, keys: &[Key]) {
    let _ = write!(out, "\n## `{title}`\n\n{}\n\n", flowing(doc));
    out.push_str("| key | what it is for | allowed | default |\n|---|---|---|---|\n");
    for key in keys {
        let restart = match key.applies {
            Applies::Restart => " *restart*",
            Applies::Reload => "",
        };
        let range = key.range.as_ref().map(|range| format!("; {range}")).unwrap_or_default();
        let default = match key.default.as_str() {
            "\"\"" | "{}" => "-".to_owned(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(
            out,
            "| `{}` | {}{restart} | {}{range} | {default} |",
            key.name,
            flowing(key.doc).replace('|', "\\|"),
            key.allowed
        );
    }
}

const EXAMPLE_HEAD: &str = "\
# lockkeeper: every key with its default. A line that begins with \"#key =\" shows a key; take the \"#\" away to set it.
# The reference is docs/configuration.md. This file is written by `./dev docs` from src/config/file.rs.
";

/// The example file: every key, commented out, with its default or, where there is none, with a value that could stand there.
pub fn example() -> String {
    let mut out = EXAMPLE_HEAD.to_owned();
    for (path, doc, keys) in File::sections() {
        let _ = write!(out, "\n{}[{path}]\n", comment(doc));
        example_keys(&mut out, &keys);
    }
    for (word, doc, keys) in [("rule", Rule::DOC, Rule::keys()), ("peak", Peak::DOC, Peak::keys())] {
        let _ = write!(out, "\n{}#[[{word}]]\n", comment(doc));
        example_keys(&mut out, &keys);
    }
    out
}

fn example_keys(out: &mut String, keys: &[Key]) {
    for key in keys {
        let value = match key.example {
            // Tables are TOML already.
            Some(example) if example.starts_with('{') => example.to_owned(),
            Some(example) => super::value::quoted(example),
            None => key.default.clone(),
        };
        let restart = match key.applies {
            Applies::Restart => "# Read at the start only.\n",
            Applies::Reload => "",
        };
        let _ = write!(out, "\n{}{restart}#{} = {value}\n", comment(key.doc), key.name);
    }
}

/// Doc comments as one line: their line breaks mean nothing.
fn flowing(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn comment(doc: &str) -> String {
    doc.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "#{}", line.trim_end());
        out
    })
}
