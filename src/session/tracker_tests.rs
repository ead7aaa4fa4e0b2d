//! Scripts of frames through the tracker, whole and in pieces.

use proptest::prelude::*;

use super::super::eye::Glance;
use super::super::prepared::Why;
use super::*;
use crate::wire::client as message;
use crate::wire::frame::{put, put_string};

/// Stops every text that begins with "alter".
struct Alter;

impl Eye for Alter {
    fn glance(&mut self, text: &[u8], _: &Reading) -> Glance {
        match text {
            [b'a', b'l', b't', b'e', b'r', ..] => Glance::Matters,
            [b'u', b'p', b'd', b'a', b't', b'e', ..] => Glance::Writes,
            _ => Glance::Ordinary,
        }
    }
    fn writes_few(&mut self, text: &[u8], _: &Reading) -> bool {
        text.ends_with(b"few")
    }
    fn must_stop_head(&mut self, head: &[u8]) -> bool {
        head.starts_with(b"alter")
    }
    fn looks_on(&self) -> bool {
        true
    }
}

fn tracker() -> Tracker {
    Tracker::new(1000, "UTF8")
}

fn query(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, b'Q', |out| put_string(out, text.as_bytes()));
    out
}

#[test]
fn stops_before_the_frame_that_matters() {
    let ordinary = query("select 1");
    let bytes = [ordinary.clone(), query("alter table t"), query("select 2")].concat();
    let seen = tracker().client(&bytes, &mut Alter).unwrap();
    assert_eq!(seen, Seen { forward: ordinary.len(), stop: Stop::Engage });
}

#[test]
fn holds_what_it_cannot_judge_yet() {
    let bytes = query("alter table t");
    for end in 1..bytes.len() {
        let seen = tracker().client(&bytes[..end], &mut Alter).unwrap();
        assert_eq!(seen, Seen { forward: 0, stop: Stop::Incomplete }, "{end}");
    }
}

#[test]
fn long_texts_are_judged_by_their_beginning() {
    let long = query(&format!("select '{}'", "x".repeat(5000)));
    let mut tracker = tracker();
    assert_eq!(
        tracker.client(&long[..100], &mut Alter).unwrap(),
        Seen { forward: 0, stop: Stop::Incomplete }
    );
    assert_eq!(tracker.client(&long[..1100], &mut Alter).unwrap(), Seen { forward: 1100, stop: Stop::Clear });
    let rest = [&long[1100..], &query("alter x")].concat();
    assert_eq!(
        tracker.client(&rest, &mut Alter).unwrap(),
        Seen { forward: long.len() - 1100, stop: Stop::Engage }
    );
    let long = query(&format!("alter '{}'", "x".repeat(5000)));
    let beginning = super::Tracker::new(1000, "UTF8").client(&long[..500], &mut Alter).unwrap();
    assert_eq!(beginning.stop, Stop::Incomplete, "a few bytes do not tell");
    assert_eq!(super::Tracker::new(1000, "UTF8").client(&long, &mut Alter).unwrap().stop, Stop::Oversize);
}

#[test]
fn the_rest_of_a_long_text_is_looked_through() {
    let long = query(&format!("select '{}'; alter t", "x".repeat(5000)));
    for cut in [1005, 2000, 5020, long.len() - 8, long.len() - 3] {
        let mut tracker = tracker();
        assert_eq!(
            tracker.client(&long[..cut], &mut Alter).unwrap(),
            Seen { forward: cut, stop: Stop::Clear }
        );
        let seen = tracker.client(&long[cut..], &mut Alter).unwrap();
        assert_eq!(seen, Seen { forward: 0, stop: Stop::Hidden }, "{cut}");
        tracker.look_away();
        let all = Seen { forward: long.len() - cut, stop: Stop::Clear };
        assert_eq!(tracker.client(&long[cut..], &mut Alter).unwrap(), all);
    }
    // All at once, the beginning goes as well.
    let whole = tracker().client(&long, &mut Alter).unwrap();
    assert_eq!(whole, Seen { forward: 1005, stop: Stop::Hidden });
    // In a statement of the extended protocol nothing can stand behind a semicolon.
    let mut parse = Vec::new();
    message::parse(&mut parse, b"", format!("select '{}'; alter t", "x".repeat(5000)).as_bytes());
    assert_eq!(tracker().client(&parse, &mut Alter).unwrap().stop, Stop::Clear);
}

#[test]
fn a_watched_statement_is_stopped_when_it_is_run() {
    let mut tracker = tracker();
    tracker.prepared.watch(b"s", b"alter table t", Why::Matters);
    let mut bytes = Vec::new();
    message::bind(&mut bytes, b"p", b"s", &[]);
    let bound = bytes.len();
    message::execute(&mut bytes, b"p");
    message::sync(&mut bytes);
    assert_eq!(tracker.client(&bytes, &mut Alter).unwrap(), Seen { forward: bound, stop: Stop::Engage });
    // the same portal name for something else
    let mut bytes = Vec::new();
    message::bind(&mut bytes, b"p", b"other", &[]);
    message::execute(&mut bytes, b"p");
    assert_eq!(tracker.client(&bytes, &mut Alter).unwrap().stop, Stop::Clear);
    // preparing again under a watched name is looked at, whatever the text
    let mut bytes = Vec::new();
    message::parse(&mut bytes, b"s", b"select 1");
    assert_eq!(tracker.client(&bytes, &mut Alter).unwrap().stop, Stop::Engage);
}

#[test]
fn status_comes_from_ready_and_from_begin() {
    let mut tracker = tracker();
    tracker.received(b'C', b"BEGIN\0");
    assert_eq!(tracker.status(), Status::InTransaction);
    tracker.received(b'Z', b"E");
    assert_eq!(tracker.status(), Status::Failed);
    tracker.received(b'Z', b"I");
    assert!(tracker.is_idle());
}

#[test]
fn reading_follows_the_server() {
    let mut tracker = tracker();
    tracker.received(b'S', b"client_encoding\0SJIS\0");
    tracker.received(b'S', b"standard_conforming_strings\0off\0");
    assert_eq!(tracker.reading(), &Reading { encoding: "SJIS".into(), backslash_escapes: true });
    assert_eq!(tracker.renamed(), None);
    tracker.received(b'S', b"application_name\0pgroll\0");
    assert_eq!(tracker.renamed(), Some("pgroll"));
}

#[test]
fn bad_lengths_are_errors() {
    assert!(tracker().client(&[b'Q', 0xff, 0xff, 0xff, 0xff], &mut Alter).is_err());
    assert!(tracker().client(&[b'Q', 0, 0, 0, 3], &mut Alter).is_err());
}

const LONG: &str = "insert '; alter x' -- ; alter x\n; select 1";
const LONG_ALTER: &str = "select 1; alter x /* ......................... */";
const LONG_BEHIND: &str = "select 1 /* ......................... */; alter x";

proptest! {
    /// However the stream is cut, the same bytes go on before the first stop.
    #[test]
    fn cuts_do_not_matter(
        texts in prop::collection::vec(
            prop::sample::select(vec!["select 1", "", "insert", "alter x", LONG, LONG_ALTER, LONG_BEHIND]),
            1..8,
        ),
        cuts in prop::collection::vec(1usize..40, 1..60),
    ) {
        let short = || Tracker::new(40, "UTF8");
        let stream: Vec<u8> = texts.iter().flat_map(|text| query(text)).collect();
        let whole = short().client(&stream, &mut Alter).unwrap();
        let mut pieces = short();
        let mut held: Vec<u8> = Vec::new();
        let mut forwarded = 0;
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        let mut last = Stop::Clear;
        while !rest.is_empty() && !matches!(last, Stop::Engage | Stop::Oversize | Stop::Hidden) {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            rest = after;
            held.extend_from_slice(piece);
            let seen = pieces.client(&held, &mut Alter).unwrap();
            held.drain(..seen.forward);
            forwarded += seen.forward;
            last = seen.stop;
        }
        prop_assert_eq!(last, whole.stop);
        if last == Stop::Hidden {
            // What of the message has gone depends on the pieces; never all of it.
            prop_assert!((whole.forward..stream.len()).contains(&forwarded));
        } else {
            prop_assert_eq!(forwarded, whole.forward);
        }
    }

    #[test]
    fn hostile_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut tracker = tracker();
        tracker.prepared.watch(b"", b"alter", Why::Matters);
        let _ = tracker.client(&bytes, &mut Alter);
        let _ = tracker.server(&bytes);
    }
}
