//! What is remembered of texts that triage could not pass but that turned out to be ordinary.
//!
//! Applications repeat themselves: a text with a semicolon in a literal is parsed once, not each time.

use std::hash::{Hash, Hasher};

use quick_cache::{Equivalent, Weighter, unsync::Cache};

use super::encoding::Dialect;

/// Longer texts are not remembered; they rarely come again, and parsing is not what they wait for.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Ordinary texts, least recently used forgotten first; one per core, so that nothing is locked.
pub struct Memory {
    texts: Cache<Remembered, (), Bytes>,
}

#[derive(Clone, PartialEq, Eq)]
struct Remembered {
    dialect: Dialect,
    text: Box<[u8]>,
}

/// A key to look up without copying the text.
struct Sought<'a> {
    dialect: Dialect,
    text: &'a [u8],
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Remembered, ()> for Bytes {
    fn weight(&self, key: &Remembered, (): &()) -> u64 {
        // The entry's own upkeep is counted too, so that many short texts cannot outgrow the bound.
        key.text.len() as u64 + 96
    }
}

impl Hash for Remembered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Sought { dialect: self.dialect, text: &self.text }.hash(state);
    }
}

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.dialect.hash(state);
        self.text.hash(state);
    }
}

impl Equivalent<Remembered> for Sought<'_> {
    fn equivalent(&self, key: &Remembered) -> bool {
        self.dialect == key.dialect && self.text == &*key.text
    }
}

impl Memory {
    /// A memory that takes about `bytes_max` bytes at most.
    pub fn new(bytes_max: u64) -> Self {
        let texts_expected = usize::try_from(bytes_max / 512).unwrap_or(usize::MAX).max(1);
        Self { texts: Cache::with_weighter(texts_expected, bytes_max, Bytes) }
    }

    /// Whether the text was found ordinary before.
    pub fn knows(&self, text: &[u8], dialect: Dialect) -> bool {
        text.len() <= TEXT_BYTES_MAX && self.texts.get(&Sought { dialect, text }).is_some()
    }

    /// Remembers a text of which parse found only ordinary statements (`Script::is_ordinary`).
    pub fn learn(&mut self, text: &[u8], dialect: Dialect) {
        if text.len() <= TEXT_BYTES_MAX {
            self.texts.insert(Remembered { dialect, text: text.into() }, ());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Encoding;

    #[test]
    fn remembers_by_text_and_dialect() {
        let mut memory = Memory::new(1 << 20);
        memory.learn(b"SELECT ';'", Encoding::Utf8.into());
        assert!(memory.knows(b"SELECT ';'", Encoding::Utf8.into()));
        assert!(!memory.knows(b"SELECT ';'", Encoding::Sjis.into()));
        assert!(!memory.knows(b"SELECT '; '", Encoding::Utf8.into()));
    }

    #[test]
    fn stays_within_its_bound() {
        let mut memory = Memory::new(10_000);
        for number in 0..10_000 {
            memory.learn(format!("SELECT ';{number}'").as_bytes(), Dialect::default());
        }
        let kept = (0..10_000)
            .filter(|number| memory.knows(format!("SELECT ';{number}'").as_bytes(), Dialect::default()))
            .count();
        assert!(kept > 0 && kept <= 100, "{kept}");
        let long = vec![b' '; TEXT_BYTES_MAX + 1];
        memory.learn(&long, Dialect::default());
        assert!(!memory.knows(&long, Dialect::default()));
    }
}
