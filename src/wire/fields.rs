//! The fields of errors and notices: read in place, appended to, never pretty-printed.

use crate::base::SqlState;

use super::frame::{put, take_string};

/// The fields of an `ErrorResponse` or `NoticeResponse` body, in the order sent.
pub fn fields(body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (code, after) = rest.split_first()?;
        if *code == 0 {
            return None;
        }
        let (value, after) = take_string(after)?;
        rest = after;
        Some((*code, value))
    })
}

/// One field's value.
pub fn field(body: &[u8], code: u8) -> Option<&[u8]> {
    fields(body).find(|(known, _)| *known == code).map(|(_, value)| value)
}

/// The SQLSTATE, or `XX000` for a message without one.
pub fn sqlstate(body: &[u8]) -> SqlState {
    field(body, b'C')
        .and_then(|value| <[u8; 5]>::try_from(value).ok())
        .map_or(SqlState::INTERNAL_ERROR, SqlState)
}

/// The primary message, for logs and for DETAILs of our own.
pub fn message(body: &[u8]) -> String {
    String::from_utf8_lossy(field(body, b'M').unwrap_or_default()).into_owned()
}

/// Writes the message again with `detail` behind its own DETAIL and `hint` behind its own HINT; all other fields stay as sent.
pub fn amend(out: &mut Vec<u8>, kind: u8, body: &[u8], detail: Option<&str>, hint: Option<&str>) {
    put(out, kind, |out| {
        let mut detail = detail;
        let mut hint = hint;
        for (code, value) in fields(body) {
            out.push(code);
            out.extend_from_slice(value);
            let more = match code {
                b'D' => detail.take().map(|text| (b'\n', text)),
                b'H' => hint.take().map(|text| (b' ', text)),
                _ => None,
            };
            if let Some((between, text)) = more {
                out.push(between);
                out.extend_from_slice(text.as_bytes());
            }
            out.push(0);
        }
        for (code, text) in [(b'D', detail), (b'H', hint)] {
            if let Some(text) = text {
                out.push(code);
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
        }
        out.push(0);
    });
}

/// The body with another place in the statement's text, or none; all other fields stay as sent.
pub fn placed(body: &[u8], place: Option<usize>) -> Vec<u8> {
    const PLACE: u8 = b'P';
    let mut out = Vec::with_capacity(body.len());
    let mut add = |code: u8, value: &[u8]| {
        out.push(code);
        out.extend_from_slice(value);
        out.push(0);
    };
    for (code, value) in fields(body) {
        match (code, place) {
            (PLACE, Some(place)) => add(PLACE, place.to_string().as_bytes()),
            (PLACE, None) => {}
            (code, _) => add(code, value),
        }
    }
    out.push(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"SERROR\0C55P03\0Mcanceling statement due to lock timeout\0\0";

    #[test]
    fn reads_the_code_and_message() {
        assert_eq!(sqlstate(BODY), SqlState::LOCK_NOT_AVAILABLE);
        assert_eq!(message(BODY), "canceling statement due to lock timeout");
        assert_eq!(sqlstate(b"SERROR\0\0"), SqlState::INTERNAL_ERROR);
        assert_eq!(sqlstate(b"SERROR"), SqlState::INTERNAL_ERROR);
    }

    #[test]
    fn appends_without_touching_the_rest() {
        let mut out = Vec::new();
        amend(&mut out, b'E', BODY, Some("Tried for 10 s."), Some("Look."));
        assert_eq!(
            &out[5..],
            b"SERROR\0C55P03\0Mcanceling statement due to lock timeout\0DTried for 10 s.\0HLook.\0\0"
        );
        out.clear();
        amend(&mut out, b'E', b"Mx\0Dold.\0Hown\0\0", Some("New."), Some("Ours."));
        assert_eq!(&out[5..], b"Mx\0Dold.\nNew.\0Hown Ours.\0\0");
    }

    #[test]
    fn places_are_changed_and_left_out() {
        let body = b"SERROR\0Mx\0P12\0R1\0\0";
        assert_eq!(placed(body, Some(7)), b"SERROR\0Mx\0P7\0R1\0\0");
        assert_eq!(placed(body, None), b"SERROR\0Mx\0R1\0\0");
        assert_eq!(placed(BODY, Some(7)), BODY, "there was none");
    }
}
