//! Client encodings, and a stand-in text that a UTF-8 parser reads without being fooled.
//!
//! Six of Postgres' client encodings use ASCII values as second bytes of a character (0x5C, the backslash, is the
//! famous one); a lexer that reads bytes takes them for quotes' escapes. Source: `src/common/wchar.c`.

use std::borrow::Cow;

/// How the bytes of a statement are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// `client_encoding`
    pub encoding: Encoding,
    /// `standard_conforming_strings`: off means that a backslash escapes in plain strings too.
    pub standard_conforming_strings: bool,
}

impl From<Encoding> for Dialect {
    fn from(encoding: Encoding) -> Self {
        Self { encoding, standard_conforming_strings: true }
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Encoding::Utf8.into()
    }
}

/// A `client_encoding`, as far as lexing tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `UTF8`
    Utf8,
    /// `SQL_ASCII`: bytes that nobody converts.
    SqlAscii,
    /// Every byte from 0x80 is a character: `LATIN1`, `WIN1252`, `KOI8R`, ..
    SingleByte,
    /// `EUC_JP`, `EUC_CN`, `EUC_KR`, `EUC_TW`, `EUC_JIS_2004`, `MULE_INTERNAL`: no byte of a long character is ASCII.
    Euc,
    /// `SJIS`, `SHIFT_JIS_2004`
    Sjis,
    /// `BIG5`
    Big5,
    /// `GBK`
    Gbk,
    /// `UHC`
    Uhc,
    /// `JOHAB`
    Johab,
    /// `GB18030`
    Gb18030,
}

/// A UTF-8 text of the same length as the original, byte offset for byte offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow<'a> {
    /// What the parser reads.
    pub text: Cow<'a, str>,
    /// A dollar quote's tag holds a stand-in, so that two different tags may look the same.
    pub ambiguous: bool,
}

impl Encoding {
    /// The encoding that a name means; Postgres ignores case and everything but letters and digits.
    ///
    /// What is not known counts as a single-byte set: the server refuses names that it does not know.
    pub fn from_name(name: &str) -> Self {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        match plain.as_str() {
            "utf8" | "unicode" => Self::Utf8,
            "sqlascii" => Self::SqlAscii,
            "sjis" | "shiftjis" | "mskanji" | "win932" | "windows932" | "shiftjis2004" => Self::Sjis,
            "big5" | "win950" | "windows950" => Self::Big5,
            "gbk" | "win936" | "windows936" => Self::Gbk,
            "uhc" | "win949" | "windows949" => Self::Uhc,
            "johab" => Self::Johab,
            "gb18030" => Self::Gb18030,
            "muleinternal" => Self::Euc,
            euc if euc.starts_with("euc") => Self::Euc,
            _ => Self::SingleByte,
        }
    }

    /// Whether a byte below 0x80 is always that ASCII character, and never a part of a longer one.
    pub const fn is_ascii_sure(self) -> bool {
        matches!(self, Self::Utf8 | Self::SqlAscii | Self::SingleByte | Self::Euc)
    }

    /// A UTF-8 text of the same length for the parser.
    ///
    /// Valid UTF-8 stays where it is UTF-8; other characters become stand-ins of their own length.
    pub fn shadow(self, text: &[u8]) -> Cow<'_, str> {
        self.shadow_marked(text, &mut |_, _| ())
    }

    /// The shadow, and whether it can be trusted.
    pub(crate) fn shade(self, text: &[u8]) -> Shadow<'_> {
        let mut ambiguous = false;
        let shadow = self.shadow_marked(text, &mut |start, end| {
            ambiguous |= in_dollar_tag(text, start, end);
        });
        Shadow { text: shadow, ambiguous }
    }

    /// Calls `mark` with the place of each character that became a stand-in.
    pub(crate) fn shadow_marked<'a>(
        self,
        text: &'a [u8],
        mark: &mut dyn FnMut(usize, usize),
    ) -> Cow<'a, str> {
        if text.is_ascii() || matches!(self, Self::Utf8 | Self::SqlAscii) {
            if let Ok(valid) = std::str::from_utf8(text) {
                return Cow::Borrowed(valid);
            }
            if matches!(self, Self::Utf8) {
                return Cow::Owned(mend_utf8(text, mark));
            }
        }
        let mut shadow = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            if byte.is_ascii() {
                shadow.push(char::from(byte));
                at += 1;
                continue;
            }
            let length = self.length(text.get(at..).unwrap_or_default());
            mark(at, at + length);
            stand_in(&mut shadow, length);
            at += length;
        }
        Cow::Owned(shadow)
    }

    /// Whether characters may hold bytes that look like ASCII.
    pub(crate) const fn has_ascii_inside(self) -> bool {
        matches!(self, Self::Sjis | Self::Big5 | Self::Gbk | Self::Uhc | Self::Johab | Self::Gb18030)
    }

    /// Marks every byte of a character that is not ASCII as such; returns where a character begins that is cut off.
    pub(crate) fn hide(self, text: &mut [u8]) -> usize {
        let mut at = 0;
        while let Some(rest) = text.get_mut(at..).filter(|rest| !rest.is_empty()) {
            if rest.first().is_some_and(u8::is_ascii) {
                at += 1;
                continue;
            }
            let wanted = self.wanted(rest);
            let Some(character) = rest.get_mut(..wanted) else { return at };
            for byte in character {
                *byte |= 0x80;
            }
            at += wanted;
        }
        at
    }

    /// How many bytes the character takes that `rest` begins with; its first byte is not ASCII.
    fn length(self, rest: &[u8]) -> usize {
        // A character cut off by the end of the text: the server refuses it, whatever we make of it.
        self.wanted(rest).min(rest.len())
    }

    /// The same, also where the character is cut off.
    const fn wanted(self, rest: &[u8]) -> usize {
        match (self, rest) {
            (Self::Utf8 | Self::SqlAscii | Self::SingleByte | Self::Euc, _)
            | (Self::Sjis, [0xA1..=0xDF, ..]) => 1,
            (Self::Gb18030, [_, b'0'..=b'9', ..]) => 4,
            (Self::Sjis | Self::Big5 | Self::Gbk | Self::Uhc | Self::Johab | Self::Gb18030, _) => 2,
        }
    }
}

/// Letters that fill `length` bytes.
fn stand_in(shadow: &mut String, length: usize) {
    for _ in 0..length / 2 {
        shadow.push('é');
    }
    if length % 2 == 1 {
        shadow.push('x');
    }
}

/// UTF-8 with every invalid byte replaced; Postgres refuses such a text, so that only the offsets matter.
fn mend_utf8(text: &[u8], mark: &mut dyn FnMut(usize, usize)) -> String {
    let mut shadow = String::with_capacity(text.len());
    let mut at = 0;
    for chunk in text.utf8_chunks() {
        shadow.push_str(chunk.valid());
        at += chunk.valid().len();
        for _ in chunk.invalid() {
            mark(at, at + 1);
            shadow.push('x');
            at += 1;
        }
    }
    shadow
}

/// Whether the bytes from `start` to `end` stand between two dollar signs with only letters around them.
fn in_dollar_tag(text: &[u8], start: usize, end: usize) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let before = text.get(..start).unwrap_or_default().iter().rev().find(|byte| !letter(byte));
    let after = text.get(end..).unwrap_or_default().iter().find(|byte| !letter(byte));
    before == Some(&b'$') && after == Some(&b'$')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Encoding; 10] = [
        Encoding::Utf8,
        Encoding::SqlAscii,
        Encoding::SingleByte,
        Encoding::Euc,
        Encoding::Sjis,
        Encoding::Big5,
        Encoding::Gbk,
        Encoding::Uhc,
        Encoding::Johab,
        Encoding::Gb18030,
    ];

    #[test]
    fn names_are_read_as_postgres_reads_them() {
        for (name, encoding) in [
            ("UTF8", Encoding::Utf8),
            ("utf-8", Encoding::Utf8),
            ("SJIS", Encoding::Sjis),
            ("Shift_JIS_2004", Encoding::Sjis),
            ("EUC_JIS_2004", Encoding::Euc),
            ("LATIN1", Encoding::SingleByte),
            ("WIN1252", Encoding::SingleByte),
            ("WIN936", Encoding::Gbk),
            ("SQL_ASCII", Encoding::SqlAscii),
        ] {
            assert_eq!(Encoding::from_name(name), encoding, "{name}");
        }
    }

    #[test]
    fn a_backslash_that_ends_a_character_is_none() {
        // U+8868 is 0x95 0x5C in Shift JIS: E'\x95\x5C' ends at its second quote.
        let text = b"E'\x95\x5C'; DROP TABLE t";
        assert_eq!(Encoding::Sjis.shadow(text), "E'é'; DROP TABLE t");
        assert_eq!(Encoding::SingleByte.shadow(text), "E'x\\'; DROP TABLE t");
        // 0x81 0x30 0x84 0x36 is one character of GB18030.
        assert_eq!(Encoding::Gb18030.shadow(b"'\x81\x30\x84\x36'"), "'éé'");
    }

    #[test]
    fn stand_ins_in_dollar_tags_are_not_trusted() {
        assert!(Encoding::SingleByte.shade(b"SELECT $\xE9$ x $\xE9$").ambiguous);
        assert!(!Encoding::SingleByte.shade(b"SELECT $a$ \xE9 $a$").ambiguous);
        assert!(!Encoding::Utf8.shade("SELECT $é$ x $é$".as_bytes()).ambiguous);
    }

    proptest! {
        #[test]
        fn shadows_keep_every_offset(text in prop::collection::vec(any::<u8>(), 0..80)) {
            for encoding in ALL {
                let shadow = encoding.shadow(&text);
                prop_assert_eq!(shadow.len(), text.len());
                for (at, byte) in shadow.bytes().enumerate() {
                    // Nothing that a lexer acts upon appears where it was not.
                    prop_assert!(!byte.is_ascii() || byte == text[at] || byte == b'x');
                }
            }
        }
    }
}
