//! Errors and notices of our own, as Postgres would write them.

use crate::base::{Notice, Severity};

use super::frame::{put, put_string};
use super::kind::server as kind;

/// Appends the message: an `ErrorResponse` for errors, a `NoticeResponse` for the rest.
///
/// Severity stands twice, as `S` (which a server may translate) and as `V` (which it may not), as since Postgres 9.6.
pub fn encode(notice: &Notice, out: &mut Vec<u8>) {
    let kind = match notice.severity {
        Severity::Notice | Severity::Warning => kind::NOTICE,
        Severity::Error | Severity::Fatal => kind::ERROR,
    };
    put(out, kind, |out| {
        let severity = notice.severity.word();
        let fields = [
            (b'S', Some(severity)),
            (b'V', Some(severity)),
            (b'C', Some(notice.code.as_str())),
            (b'M', Some(&notice.message)),
            (b'D', notice.detail.as_deref()),
            (b'H', notice.hint.as_deref()),
        ];
        for (code, text) in fields {
            if let Some(text) = text {
                out.push(code);
                // A NUL would end the field and let the rest pass for another one.
                put_string(out, text.replace('\0', " ").as_bytes());
            }
        }
        out.push(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SqlState;
    use crate::wire::Frame;
    use crate::wire::fields::{field, fields};

    #[test]
    fn every_field_is_there() {
        let mut out = Vec::new();
        let notice = Notice::error(SqlState::LOCK_NOT_AVAILABLE, "no\0lock").detail("D.").hint("H.");
        encode(&notice, &mut out);
        let frame = Frame::peek(&out).unwrap().unwrap();
        assert_eq!(frame.kind, b'E');
        assert_eq!(field(frame.body, b'M'), Some(&b"no lock"[..]));
        let codes: Vec<u8> = fields(frame.body).map(|(code, _)| code).collect();
        assert_eq!(codes, b"SVCMDH");
    }
}
