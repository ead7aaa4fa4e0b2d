//! Finds message boundaries in a stream that arrives in arbitrary pieces, without copying it.

use super::frame::{HEADER_BYTES, Header, Malformed};
use super::kind::server as kind;

/// The longest body that is kept when a message arrives in pieces; enough for a status, a tag and most parameters.
const KEEP: usize = 256;

/// The boundary scanner for what comes from the server.
///
/// Each message is shown once, when its last byte has come: its type and its body where that lies in one piece or is
/// short enough to be kept, else an empty body. What is shown is only ever read, never held back.
#[derive(Debug, Default)]
pub struct ServerScan {
    header: [u8; HEADER_BYTES],
    header_have: u8,
    body_left: usize,
    /// The body so far of a short message that is split over reads; no allocation while nothing is split.
    kept: Vec<u8>,
}

#[expect(clippy::cast_possible_truncation, reason = "a header has five bytes")]
const HEADER_HAVE_ALL: u8 = HEADER_BYTES as u8;

/// Whether the body of such a message is ever read.
const fn worth_keeping(kind: u8) -> bool {
    matches!(kind, kind::READY | kind::COMMAND_COMPLETE | kind::PARAMETER_STATUS)
}

impl ServerScan {
    /// Shows every message that ends within `chunk`.
    #[inline]
    pub fn scan(&mut self, chunk: &[u8], mut show: impl FnMut(u8, &[u8])) -> Result<(), Malformed> {
        let mut rest = chunk;
        if self.header_have > 0 {
            rest = self.resume(rest, &mut show)?;
        }
        while let Some((head, body)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let header = Header::read(*head)?;
            if let Some((whole, after)) = body.split_at_checked(header.body) {
                show(header.kind, whole);
                rest = after;
            } else {
                self.begin(*head, header, body);
                return Ok(());
            }
        }
        if !rest.is_empty() {
            self.resume(rest, &mut show)?;
        }
        Ok(())
    }

    /// Whether the stream stands between two messages.
    pub const fn at_boundary(&self) -> bool {
        self.header_have == 0
    }

    fn begin(&mut self, head: [u8; HEADER_BYTES], header: Header, body: &[u8]) {
        self.header = head;
        self.header_have = HEADER_HAVE_ALL;
        self.body_left = header.body - body.len();
        if worth_keeping(header.kind) && header.body <= KEEP {
            self.kept.extend_from_slice(body);
        }
    }

    /// Takes up the message that the last piece left unfinished; returns what follows it.
    fn resume<'a>(
        &mut self,
        chunk: &'a [u8],
        show: &mut impl FnMut(u8, &[u8]),
    ) -> Result<&'a [u8], Malformed> {
        let mut rest = chunk;
        while usize::from(self.header_have) < HEADER_BYTES {
            let Some((byte, after)) = rest.split_first() else { return Ok(rest) };
            if let Some(slot) = self.header.get_mut(usize::from(self.header_have)) {
                *slot = *byte;
            }
            self.header_have += 1;
            rest = after;
            if usize::from(self.header_have) == HEADER_BYTES {
                self.body_left = Header::read(self.header)?.body;
            }
        }
        let header = Header::read(self.header)?;
        let taken = self.body_left.min(rest.len());
        let Some((body, after)) = rest.split_at_checked(taken) else { return Ok(rest) };
        if worth_keeping(header.kind) && header.body <= KEEP {
            self.kept.extend_from_slice(body);
        }
        self.body_left -= taken;
        if self.body_left == 0 {
            show(header.kind, &self.kept);
            self.kept = Vec::new();
            self.header_have = 0;
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame::put;

    fn shown(pieces: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
        let mut scan = ServerScan::default();
        let mut all = Vec::new();
        for piece in pieces {
            scan.scan(piece, |kind, body| {
                all.push((kind, if worth_keeping(kind) { body.to_vec() } else { vec![] }));
            })
            .unwrap();
        }
        assert!(scan.at_boundary());
        all
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            frames in prop::collection::vec((prop::sample::select(&b"ZCSDT1dEN"[..]), prop::collection::vec(any::<u8>(), 0..40)), 1..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = Vec::new();
            for (kind, body) in &frames {
                put(&mut stream, *kind, |out| out.extend_from_slice(body));
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            pieces.push(&stream[from..]);
            prop_assert_eq!(shown(&pieces), shown(&[&stream]));
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(shown(&single), shown(&[&stream]));
        }
    }

    #[test]
    fn a_bad_length_is_an_error_also_when_split() {
        let bad = [b'Z', 0, 0, 0, 3, 0];
        assert!(ServerScan::default().scan(&bad, |_, _| ()).is_err());
        let mut scan = ServerScan::default();
        let outcome: Result<Vec<()>, _> = bad.chunks(1).map(|piece| scan.scan(piece, |_, _| ())).collect();
        assert!(outcome.is_err());
    }

    #[test]
    fn long_messages_keep_nothing() {
        let mut stream = Vec::new();
        put(&mut stream, b'd', |out| out.resize(out.len() + 100_000, 7));
        put(&mut stream, b'Z', |out| out.push(b'I'));
        let mut scan = ServerScan::default();
        for piece in stream.chunks(1000) {
            scan.scan(piece, |_, _| ()).unwrap();
            assert!(scan.kept.capacity() < 1000);
        }
        assert!(scan.at_boundary());
    }
}
