//! `ErrorResponse` and `NoticeResponse` messages of ours.

use crate::base::{Notice, Severity};

use super::frame::put;

/// Appends the message that tells a client of `notice`: `E` for errors, `N` for the rest.
///
/// Fields in the order in which Postgres writes them (`send_message_to_frontend` in `elog.c`): S V C M D H.
pub fn encode(notice: &Notice, out: &mut Vec<u8>) {
    let kind = match notice.severity {
        Severity::Error | Severity::Fatal => b'E',
        Severity::Notice | Severity::Warning => b'N',
    };
    put(out, kind, |out| {
        field(out, b'S', notice.severity.word());
        field(out, b'V', notice.severity.word());
        field(out, b'C', notice.code.as_str());
        field(out, b'M', &notice.message);
        for (code, text) in [(b'D', &notice.detail), (b'H', &notice.hint)] {
            if let Some(text) = text {
                field(out, code, text);
            }
        }
        out.push(0);
    });
}

/// One field; a NUL inside would end it early and shift what follows, so it is left out.
fn field(out: &mut Vec<u8>, code: u8, text: &str) {
    out.push(code);
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SqlState;

    #[test]
    fn an_error_has_all_its_fields() {
        let mut out = Vec::new();
        let notice = Notice::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry").detail("D.").hint("H.");
        encode(&notice, &mut out);
        let body = b"SFATAL\0VFATAL\0C53300\0Msorry\0DD.\0HH.\0\0";
        assert_eq!(out[0], b'E');
        assert_eq!(out[1..5], u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        assert_eq!(&out[5..], body);
    }

    #[test]
    fn a_notice_is_told_as_n_and_nul_cannot_split_a_field() {
        let mut out = b"before".to_vec();
        encode(&Notice::info("a\0Cevil"), &mut out);
        assert_eq!(out[6], b'N');
        assert_eq!(&out[11..], b"SNOTICE\0VNOTICE\0C00000\0MaCevil\0\0");
    }
}
