//! Reads the file: walks the document with its spans against the table of known keys, and stops at no problem.

use toml_edit::{Document, Item, Table, TableLike};

use super::file::File;
use super::key::{Raw, Section, Source, path};
use super::peak::Peak;
use super::problem::Problem;
use super::rule::Rule;
use super::suggest;

/// Reads a TOML text over what `file` holds; what is wrong is left out and told.
pub(super) fn read(text: &str, file: &mut File) -> Vec<Problem> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            let why = error.message().trim().replace('\n', ", ");
            return vec![Problem::new(Source::Line(line), "", format!("not TOML: {why}"))];
        }
    };
    let mut walk = Walk { text, file, problems: Vec::new() };
    walk.table("", document.as_table());
    walk.problems
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}

struct Walk<'a> {
    text: &'a str,
    file: &'a mut File,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    /// One table: its keys, and the sections below it.
    fn table(&mut self, section: &str, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let here = path(section, name);
            let source = self.source(table, name, item);
            if here == "rule" {
                let rules: Vec<Rule> = self.list(&here, item, source);
                self.file.rules.extend(rules);
            } else if here == "peak" {
                let peaks: Vec<Peak> = self.list(&here, item, source);
                self.file.peaks.extend(peaks);
            } else if is_section(&here) {
                match item.as_table_like() {
                    Some(inner) => self.table(&here, inner),
                    None => self.problem(
                        source,
                        &here,
                        format!("is a section: write [{here}] and its keys below"),
                    ),
                }
            } else {
                self.key(section, name, item, source);
            }
        }
    }

    fn key(&mut self, section: &str, name: &str, item: &Item, source: Source) {
        let here = path(section, name);
        let known = keys_of(section);
        if !known.contains(&name) {
            let why = unknown(section, name);
            return self.problem(source, &here, why);
        }
        let Some(target) = self.file.section(section) else { return };
        if let Err(why) = assign(target, name, item, source.clone()) {
            self.problem(source, &here, why);
        }
    }

    /// A list of tables, `[[rule]]`.
    fn list<S: Section + Default>(&mut self, word: &str, item: &Item, source: Source) -> Vec<S> {
        let tables: Vec<&dyn TableLike> = match item {
            Item::ArrayOfTables(tables) => {
                tables.iter().map(|table: &Table| table as &dyn TableLike).collect()
            }
            Item::Value(toml_edit::Value::Array(array))
                if array.iter().all(toml_edit::Value::is_inline_table) =>
            {
                array
                    .iter()
                    .filter_map(toml_edit::Value::as_inline_table)
                    .map(|t| t as &dyn TableLike)
                    .collect()
            }
            _ => {
                self.problem(source, word, format!("is a list of {word}s: write [[{word}]]"));
                return Vec::new();
            }
        };
        let one = |(index, table)| self.one_of(&format!("{word}.{}", index + 1), table);
        tables.into_iter().enumerate().map(one).collect()
    }

    fn one_of<S: Section + Default>(&mut self, section: &str, table: &dyn TableLike) -> S {
        let mut one = S::default();
        let known: Vec<_> = S::keys().iter().map(|key| key.name).collect();
        for (name, item) in table.iter() {
            let here = path(section, name);
            let source = self.source(table, name, item);
            let result = if known.contains(&name) {
                assign(&mut one, name, item, source.clone())
            } else {
                Err(unknown_among(name, known.iter().copied()))
            };
            if let Err(why) = result {
                self.problem(source, &here, why);
            }
        }
        one
    }

    fn source(&self, table: &dyn TableLike, name: &str, item: &Item) -> Source {
        let span = table.get_key_value(name).and_then(|(key, _)| key.span()).or_else(|| item.span());
        Source::Line(span.map_or(1, |span| line_at(self.text, span.start)))
    }

    fn problem(&mut self, source: Source, key: &str, why: impl Into<String>) {
        self.problems.push(Problem::new(source, key, why));
    }
}

/// Sets a key from a value, or from a table written as `[rule.allow]`.
fn assign(section: &mut dyn Section, name: &str, item: &Item, source: Source) -> Result<(), String> {
    match item {
        Item::Value(value) => section.assign(name, Raw::Toml(value), source),
        Item::Table(table) => {
            section.assign(name, Raw::Toml(&table.clone().into_inline_table().into()), source)
        }
        Item::None | Item::ArrayOfTables(_) => Err("expected a value, found a list of tables".to_owned()),
    }
}

fn is_section(path: &str) -> bool {
    File::sections().iter().any(|(section, ..)| *section == path)
}

fn keys_of(section: &str) -> Vec<&'static str> {
    let sections = File::sections();
    let found = sections.into_iter().find(|(path, ..)| *path == section);
    found.map(|(.., keys)| keys.iter().map(|key| key.name).collect()).unwrap_or_default()
}

/// Why a key is not known here, and where the writer may have wanted to go.
fn unknown(section: &str, name: &str) -> String {
    let sections = File::sections();
    let below = sections.iter().filter_map(|(path, ..)| match section {
        "" => Some(*path),
        _ => path.strip_prefix(section)?.strip_prefix('.'),
    });
    let near = suggest::nearest(
        name,
        keys_of(section).into_iter().chain(below).chain(list_words(section).iter().copied()),
    );
    if let Some(near) = near {
        return did_you_mean(near);
    }
    let elsewhere = sections.iter().find(|(.., keys)| keys.iter().any(|key| key.name == name));
    let slip = sections
        .iter()
        .find_map(|(home, _, keys)| Some((home, suggest::nearest(name, keys.iter().map(|key| key.name))?)));
    match (elsewhere, slip) {
        (Some((home, ..)), _) => format!("unknown key; {name:?} belongs in [{home}]"),
        (None, Some((home, near))) => format!("unknown key; did you mean {near:?} in [{home}]?"),
        (None, None) if section.is_empty() => unknown_among(name, sections.iter().map(|(path, ..)| *path)),
        (None, None) => unknown_among(name, keys_of(section)),
    }
}

/// Why a whole path, `guard.max_stal`, is not known.
pub(super) fn unknown_path(path: &str) -> String {
    let paths: Vec<String> =
        File::sections().iter().flat_map(|(.., keys)| keys).map(super::key::Key::path).collect();
    suggest::nearest(path, paths.iter().map(String::as_str))
        .map_or_else(|| "unknown key".to_owned(), did_you_mean)
}

fn list_words(section: &str) -> &'static [&'static str] {
    if section.is_empty() { &["rule", "peak"] } else { &[] }
}

fn unknown_among<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = suggest::nearest(name, known.clone()) {
        return did_you_mean(near);
    }
    let all: Vec<_> = known.into_iter().collect();
    format!("unknown key; known here are {}", all.join(", "))
}

fn did_you_mean(near: &str) -> String {
    format!("unknown key; did you mean {near:?}?")
}
