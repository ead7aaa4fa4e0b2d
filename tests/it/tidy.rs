//! The rules of this tree that no compiler keeps: the order of the layers, the purity of those that think, sizes, words.
//!
//! Each rule is a function from texts to complaints, so that it can be shown to find what it is there to find.

#![expect(clippy::string_slice, reason = "every offset comes from a search in the same text")]

use std::fs;
use std::path::{Path, PathBuf};

/// The layers that think: nothing in them can wait, look at a clock or reach outside.
const PURE: [&str; 11] =
    ["base", "peak", "wire", "sql", "effects", "plan", "hazard", "judge", "review", "pace", "session"];

/// What would make them impure, as whole words.
const IMPURE: [&str; 7] = ["tokio", "std::net", "std::fs", "std::env", "Instant", "SystemTime", "tracing"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "helper", "helpers", "common", "misc", "ext", "prelude", "shared"];

/// Lines of a file without its tests.
const LINES_MAX: usize = 400;

/// Files that may be longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];

/// Marks of unfinished work, tests that do not run or that any panic satisfies, and paths that exist on one machine only. In
/// pieces, so that this file may be read too.
const NOT_IN_ANY_FILE: [&str; 8] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("dbg", "!"),
    concat!("#[ign", "ore"),
    concat!("should", "_panic"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
];

/// One file of the tree.
struct Source {
    /// From the root of the repository, with slashes.
    path: String,
    text: String,
}

impl Source {
    /// The lines before the tests, without comments.
    fn code(&self) -> Vec<&str> {
        let beside = self.path.ends_with("tests.rs") || self.path.contains("/tests/");
        if beside && self.path.starts_with("src/") {
            return Vec::new();
        }
        self.lines_without_tests()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(before_comment)
            .collect()
    }

    /// Tests stand last in a file, in a module of their own.
    fn lines_without_tests(&self) -> impl Iterator<Item = &str> {
        let lines: Vec<_> = self.text.lines().collect();
        let tests =
            lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].starts_with("mod tests {"));
        let end = tests.unwrap_or(lines.len());
        lines.into_iter().take(end)
    }

    /// The module directly below the root that this file belongs to.
    fn layer(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        let name = inner.split('/').next()?;
        let name = name.strip_suffix(".rs").unwrap_or(name);
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    fn complain(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.path)
    }
}

fn before_comment(line: &str) -> &str {
    line.split_once(" // ").map_or(line, |(code, _)| code)
}

/// Every file below `folder` whose name ends in one of `endings`; all of them if there are none.
fn files(folder: &str, endings: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().filter_map(|path| read(root, path, endings)).collect()
}

fn read(root: &Path, path: &PathBuf, endings: &[&str]) -> Option<Source> {
    let name = path.strip_prefix(root).expect("below the root").to_str()?.to_owned();
    let wanted = endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending));
    // What is not text is nobody's business here.
    wanted.then(|| fs::read_to_string(path).ok()).flatten().map(|text| Source { path: name, text })
}

fn rust(folders: &[&str]) -> Vec<Source> {
    folders.iter().flat_map(|folder| files(folder, &[".rs"])).collect()
}

/// Whether `word` stands in `line` by itself, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let cut_before = !word.starts_with(part_of_name) || !before.is_some_and(part_of_name);
        let cut_after = !word.ends_with(part_of_name) || !after.is_some_and(part_of_name);
        cut_before && cut_after
    })
}

/// The modules in the order in which `lib.rs` lists them.
fn layers(lib: &str) -> Vec<&str> {
    lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect()
}

/// The modules that code names by `crate::x` or `crate::{x, y::z}`.
fn named_layers(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (start, word) in code.match_indices("crate::") {
        if code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[start + word.len()..];
        match rest.strip_prefix('{') {
            Some(group) => named.extend(first_names(group)),
            None => named.extend(leading_name(rest)),
        }
    }
    named
}

/// The first name of each entry of a `{..}` group, whose opening brace is gone.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut fresh = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !c.is_whitespace() => {
                names.extend(leading_name(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn leading_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // Types and functions at the root do not make a layer.
    (!name.is_empty() && name.starts_with(|c: char| c.is_lowercase())).then_some(name)
}

fn out_of_order(source: &Source, layers: &[&str]) -> Vec<String> {
    let Some(own) = source.layer() else { return Vec::new() };
    let Some(place) = layers.iter().position(|layer| *layer == own) else {
        return vec![source.complain("is in no module that lib.rs lists")];
    };
    named_layers(&source.code().join("\n"))
        .into_iter()
        .filter(|name| layers.iter().position(|layer| layer == name).is_some_and(|other| other > place))
        .map(|name| {
            source.complain(format!("`{own}` stands above `{name}` in lib.rs and so must not import it"))
        })
        .collect()
}

fn impurities(source: &Source) -> Vec<String> {
    if !source.layer().is_some_and(|layer| PURE.contains(&layer)) {
        return Vec::new();
    }
    let code = source.code();
    let found = IMPURE.iter().filter(|word| code.iter().any(|line| has_word(line, word)));
    found.map(|word| source.complain(format!("`{word}` in a layer that only thinks"))).collect()
}

fn too_long(source: &Source) -> Vec<String> {
    let lines = source.lines_without_tests().count();
    let excused = LONGER.iter().any(|(path, _)| *path == source.path);
    if lines <= LINES_MAX || excused {
        return Vec::new();
    }
    vec![source.complain(format!("{lines} lines without tests, {LINES_MAX} at most"))]
}

fn without_head(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    if first.starts_with("//!") || first.starts_with("#![doc") {
        return Vec::new();
    }
    vec![source.complain("does not begin with `//!`")]
}

fn empty_name(source: &Source) -> Vec<String> {
    let names = source.path.split(['/', '.']);
    names
        .filter(|name| EMPTY_NAMES.contains(name))
        .map(|name| source.complain(format!("`{name}` says nothing")))
        .collect()
}

fn globs(source: &Source) -> Vec<String> {
    let code = source.code().join("\n");
    let mut uses = code.split(';').filter_map(|part| {
        let start = part.lines().position(|line| {
            let line = line.trim_start();
            line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use ")
        })?;
        Some(part.lines().skip(start).collect::<String>())
    });
    let found = uses.find(|used| used.contains("::*") || used.contains(", *") || used.contains("{*"));
    found.map(|used| source.complain(format!("a glob import: {}", used.trim()))).into_iter().collect()
}

fn forbidden_words(source: &Source) -> Vec<String> {
    let numbered = source.text.lines().enumerate();
    numbered
        .flat_map(|(index, line)| {
            let found = NOT_IN_ANY_FILE.iter().filter(move |word| has_word(line, word));
            found.map(move |word| source.complain(format!("line {}: `{word}`", index + 1)))
        })
        .collect()
}

/// A file that no module declares is compiled by nobody.
fn undeclared(source: &Source, all: &[Source]) -> Vec<String> {
    let Some((folder, name)) = source.path.rsplit_once('/') else { return Vec::new() };
    let (folder, module) = match (folder.rsplit_once('/'), name) {
        (_, "lib.rs" | "main.rs") => return Vec::new(),
        (Some((above, module)), "mod.rs") => (above, module),
        _ => (folder, name.trim_end_matches(".rs")),
    };
    let parents = [
        format!("{folder}/mod.rs"),
        format!("{folder}/lib.rs"),
        format!("{folder}/main.rs"),
        format!("{folder}.rs"),
    ];
    // Or by its path, by a neighbour of its.
    let by_path = format!("#[path = \"{name}\"]");
    let beside = format!("{folder}/");
    let declared = all.iter().any(|other| {
        other.path.starts_with(&beside) && other.text.contains(&by_path)
            || parents.contains(&other.path) && other.text.lines().any(|line| has_word(line, module))
    });
    if declared { Vec::new() } else { vec![source.complain("no module declares this file")] }
}

#[track_caller]
fn nothing(complaints: impl IntoIterator<Item = String>) {
    let all: Vec<_> = complaints.into_iter().collect();
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn layers_import_only_what_stands_above_them() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let layers = layers(&lib);
    assert!(PURE.iter().all(|pure| layers.contains(pure)), "{layers:?}");
    nothing(rust(&["src"]).iter().flat_map(|source| out_of_order(source, &layers)));
}

#[test]
fn the_layers_that_think_do_nothing_else() {
    nothing(rust(&["src"]).iter().flat_map(impurities));
}

#[test]
fn files_are_short() {
    nothing(rust(&["src", "benches"]).iter().flat_map(too_long));
}

#[test]
fn files_say_first_what_they_are() {
    nothing(rust(&["src", "benches", "tests"]).iter().flat_map(without_head));
}

#[test]
fn names_say_something() {
    nothing(rust(&["src", "benches", "tests"]).iter().flat_map(empty_name));
}

#[test]
fn imports_name_what_they_import() {
    nothing(rust(&["src", "benches"]).iter().flat_map(globs));
}

#[test]
fn nothing_is_left_undone_or_tied_to_one_machine() {
    let folders = ["src", "benches", "tests", "config", "docker", "docs", ".ci"];
    let top =
        ["dev", "Cargo.toml", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "deny.toml"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inner = folders.iter().flat_map(|folder| files(folder, &[]));
    let top = top.iter().filter_map(|name| read(root, &root.join(name), &[]));
    let all: Vec<_> = inner.chain(top).filter(|source| !source.path.starts_with("tests/corpus/")).collect();
    nothing(all.iter().flat_map(forbidden_words));
}

#[test]
fn every_file_is_compiled() {
    for folder in ["src", "tests/it"] {
        let all = rust(&[folder]);
        nothing(all.iter().flat_map(|source| undeclared(source, &all)));
    }
}

#[test]
fn the_architecture_names_every_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let folders = fs::read_dir(root.join("src")).expect("src").map(|entry| entry.expect("entry").path());
    let names = folders
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    nothing(
        names
            .flatten()
            .filter(|name| !page.contains(&format!("`{name}`")))
            .map(|name| format!("`{name}/` is not named")),
    );
}

/// What the rules find in one file with this path and text.
fn found(path: &str, text: &str) -> String {
    let source = Source { path: path.to_owned(), text: text.to_owned() };
    let rules = [impurities, too_long, without_head, empty_name, globs, forbidden_words];
    let order = out_of_order(&source, &["base", "sql", "serve"]);
    rules.iter().flat_map(|rule| rule(&source)).chain(order).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_rules_find_what_they_are_for() {
    let cases = [
        ("src/base/a.rs", "use crate::sql::X;", "must not import"),
        ("src/base/a.rs", "use crate::{base::Y, serve::{self, Z}};", "`serve`"),
        ("src/sql/a.rs", "fn f() { crate::serve::f() }", "`serve`"),
        ("src/other/a.rs", "", "in no module"),
        ("src/sql/a.rs", "use std::time::{Duration, Instant};", "`Instant`"),
        ("src/sql/a.rs", "use tokio::net::TcpStream;", "`tokio`"),
        ("src/base/util/a.rs", "", "`util`"),
        ("src/base/helpers.rs", "", "`helpers`"),
        ("src/base/a.rs", "use super::{\n    a,\n    b::*,\n};", "a glob import"),
        ("src/serve/a.rs", concat!("// TO", "DO: later"), "line 1"),
        ("src/serve/a.rs", "fn main() {}", "does not begin"),
    ];
    for (path, text, complaint) in cases {
        let found = found(path, text);
        assert!(found.contains(complaint), "{path} {text}: {found}");
    }
    assert!(found("src/base/a.rs", &"\n".repeat(401)).contains("401 lines"));
}

#[test]
fn the_rules_leave_alone_what_is_right() {
    let right = [
        (
            "src/sql/a.rs",
            "//! Says. crate::serve\nuse crate::base::X; // crate::serve\nuse crate::{base, sql::Y};",
        ),
        ("src/sql/a.rs", "//! Says.\nfn instant(x: Instantly) { std::time::Duration::ZERO }"),
        (
            "src/base/a.rs",
            "//! Says.\n#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::serve::X;\n}",
        ),
        ("src/serve/a.rs", "//! Says.\nuse tokio::net::TcpStream;\nlet x = a * b;"),
    ];
    for (path, text) in right {
        assert_eq!(found(path, text), "", "{path} {text}");
    }
    let long = format!("//! Says.\n#[cfg(test)]\nmod tests {{\n{}}}", "\n".repeat(500));
    assert_eq!(found("src/base/a.rs", &long), "");
}

#[test]
fn a_file_that_nobody_declares_is_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let all = [
        source("src/lib.rs", "pub mod base;"),
        source("src/base/mod.rs", "mod a;"),
        source("src/base/a.rs", ""),
        source("src/base/b.rs", ""),
    ];
    let complaints: Vec<_> = all.iter().flat_map(|one| undeclared(one, &all)).collect();
    assert_eq!(complaints, ["src/base/b.rs: no module declares this file"]);
}
