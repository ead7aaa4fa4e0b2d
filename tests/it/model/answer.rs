//! What a server says, in lines that can be compared between two databases.

use crate::support::raw::Frame;

/// Whether a notice or error is the proxy's own: the server's tell where in its source they come from.
pub(super) fn is_ours(frame: &Frame) -> bool {
    matches!(frame.tag, b'E' | b'N') && frame.field(b'R').is_none() && !is_imitated(frame)
}

/// Whether the proxy says that a statement will be run behind the COMMIT.
pub(super) fn is_deferral(frame: &Frame) -> bool {
    const WORDS: [&str; 2] = [" is deferred: ", "; deferred until the transaction is committed"];
    frame.tag == b'N' && is_ours(frame) && WORDS.iter().any(|words| frame.message().contains(words))
}

/// Whether the proxy says that a transaction is committed, but not what it had deferred.
pub(super) fn is_unfinished(frame: &Frame) -> bool {
    frame.tag == b'E' && is_ours(frame) && frame.sqlstate() == "58000"
}

/// Whether a lock could not be had where nothing can be sent once more: who has it would have to let go first.
pub(super) fn is_given_up(frame: &Frame) -> bool {
    frame.tag == b'E'
        && ["55P03", "40001"].contains(&frame.sqlstate().as_str())
        && frame.field(b'D').is_some()
}

/// Whether a write that was cut into batches has failed, and those before stay.
pub(super) fn is_half_done(frame: &Frame) -> bool {
    frame.tag == b'E' && frame.field(b'D').is_some_and(|detail| detail.contains(" and stay so"))
}

/// Whether it is the server's answer in the proxy's mouth: a portal whose work was done as a plan is no portal of the server's that
/// could be run again, and what is there is not made again.
fn is_imitated(frame: &Frame) -> bool {
    match frame.tag {
        b'E' => frame.sqlstate() == "55000" && frame.message().ends_with(" cannot be run"),
        b'N' => frame.sqlstate() == "42P07" && frame.message().ends_with(" already exists, skipping"),
        _ => false,
    }
}

/// What may differ between two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leniency {
    /// Nothing but when settings are reported, which is looked at by itself.
    None,
    /// What is queued in the transaction has its say later: notices of the server's. And a NOT NULL that is to come is a CHECK first
    /// (up to 17), which forbids the same rows.
    Queued,
    /// The proxy has refused: only what came before, and the transaction's status, are alike.
    Refused,
}

/// The first difference of two answers; to the words of an error the proxy may add.
pub(super) fn difference(plain: &[Frame], online: &[Frame], leniency: Leniency) -> Option<String> {
    let kept = |frame: &&Frame| match leniency {
        Leniency::None => frame.tag != b'S',
        Leniency::Queued => frame.tag != b'S' && frame.tag != b'N',
        Leniency::Refused => b"CDZ".contains(&frame.tag),
    };
    // What a plan has taken off one by one, the server does not list as what it drops along.
    let planned = online.iter().any(|frame| is_ours(frame) && frame.message().contains(" runs as "));
    let kept = |frame: &&Frame| kept(frame) && !is_ours(frame) && !(planned && frame.tag == b'N');
    let [plain, online] = [plain, online].map(|frames| frames.iter().filter(kept).collect::<Vec<_>>());
    let forbidden = |one: &Frame, other: &Frame| {
        let codes = [one, other].map(Frame::sqlstate);
        leniency == Leniency::Queued && one.tag == b'E' && codes == ["23502", "23514"]
    };
    // Of rows that break several rules, or one in several partitions, the steps of a plan meet others first.
    let broken = |one: &Frame, other: &Frame| {
        let breaks = |frame: &Frame| frame.tag == b'E' && frame.sqlstate().starts_with("23");
        planned && breaks(one) && breaks(other)
    };
    // Rows that are queued are not written yet.
    let counted = |one: &Frame, other: &Frame| {
        let tag = |frame: &Frame| (frame.tag == b'C').then(|| frame.text());
        let verbs = ["UPDATE ", "DELETE "];
        leniency == Leniency::Queued
            && matches!((tag(one), tag(other)), (Some(one), Some(other))
                if verbs.iter().any(|verb| one.starts_with(verb) && other == format!("{verb}0")))
    };
    let same = |(plain, online): (&&Frame, &&Frame)| {
        is_same(plain, online) || forbidden(plain, online) || broken(plain, online) || counted(plain, online)
    };
    if plain.len() == online.len() && plain.iter().zip(&online).all(same) {
        return None;
    }
    Some(format!(
        "  straight:{}\n  through the proxy:{}",
        list(plain.into_iter().map(line)),
        list(online.into_iter().map(line))
    ))
}

/// Lines below each other, indented.
pub(super) fn list(lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    lines.into_iter().fold(String::new(), |all, line| all + "\n    " + line.as_ref())
}

fn is_same(plain: &Frame, online: &Frame) -> bool {
    if plain.tag != b'E' || online.tag != b'E' {
        return line(plain) == line(online);
    }
    let added = |code| {
        let (plain, online) = (plain.field(code).unwrap_or_default(), online.field(code).unwrap_or_default());
        online
            .strip_prefix(&plain)
            .is_some_and(|more| plain.is_empty() || more.is_empty() || more.starts_with(['\n', ' ']))
    };
    FIELDS.iter().all(|code| plain.field(*code) == online.field(*code)) && added(b'D') && added(b'H')
}

/// The fields of errors and notices but DETAIL and HINT, and but the place in the server's source.
const FIELDS: &[u8] = b"VCMPWstcdn";

/// One frame in a line, without numbers of objects.
pub(super) fn line(frame: &Frame) -> String {
    let tag = char::from(frame.tag);
    match frame.tag {
        b'E' | b'N' => {
            let fields = FIELDS.iter().chain(b"DH");
            let fields = fields.filter_map(|code| Some((char::from(*code), frame.field(*code)?)));
            fields.fold(tag.to_string(), |line, (code, value)| format!("{line} {code}={value}"))
        }
        b'T' => format!("T {}", columns(&frame.body)),
        b'D' => format!("D {:?}", frame.columns()),
        _ => format!("{tag} {}", frame.body.escape_ascii()),
    }
}

/// The columns of a `RowDescription`; of tables and of types of people only that there are some.
fn columns(body: &[u8]) -> String {
    let mut rest = &body[2..];
    let mut out = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let (name, after) = (&rest[..end], &rest[end + 1..]);
        let number = |at: usize| u32::from_be_bytes(after[at..at + 4].try_into().expect("four bytes"));
        let (of_table, type_oid) = (number(0) != 0, number(6).min(16384));
        let (attribute, form) = (after[4..6].escape_ascii(), after[10..18].escape_ascii());
        out.push(format!("{} {of_table} {attribute} {type_oid} {form}", name.escape_ascii()));
        rest = &after[18..];
    }
    out.join(", ")
}
