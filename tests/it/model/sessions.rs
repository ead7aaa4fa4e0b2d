//! One client's two sessions, straight and through the proxy, and how their answers are judged.
//!
//! What the proxy refuses fails on the other side too. Where it has queued a statement for the time behind the COMMIT, that has
//! its tag although it was not run; so what straight fails then, or fails because of what is queued, is foreseen: the transaction is
//! committed at once, and the proxy must say that the work could not be done, with the same SQLSTATE.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::answer::{
    Leniency, difference, is_deferral, is_given_up, is_half_done, is_ours, is_unfinished, line, list,
};
use super::script::{Form, Message};
use crate::support::raw::{Frame, Raw};

/// After so long an answer is not to be expected any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// What still reads the table keeps it from being altered in the transaction, but not behind it; and what cannot run in one can behind it.
const ONLY_THERE: [&str; 2] = ["55006", "25001"];

/// How a message was answered.
pub(super) enum Judged {
    /// Alike; what came through the proxy.
    Alike(Vec<Frame>),
    /// A transaction is committed, and rightly lacks what it had deferred, a write has failed between its batches, or somebody else has
    /// a lock: the script is over.
    Unfinished,
}

/// The sessions.
pub(super) struct Sessions {
    straight: Raw,
    through: Raw,
    /// Settings as each server has reported them.
    reported: [BTreeMap<String, Vec<u8>>; 2],
    /// The transaction status, in which both agree.
    status: u8,
    /// In the open transaction something was deferred.
    queued: bool,
}

impl Sessions {
    /// Two that have done nothing yet.
    pub(super) fn new(addrs: [SocketAddr; 2], names: &[String; 2]) -> Result<Self, String> {
        let connect = |at: usize| {
            let socket = TcpStream::connect(addrs[at]).expect("connect");
            socket.set_nodelay(true).expect("nodelay");
            socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
            let mut raw = Raw::over(socket);
            let hello =
                raw.start(&[("user", "postgres"), ("database", &names[at]), ("application_name", "model")]);
            (raw, hello)
        };
        let [(straight, plain), (through, online)] = [connect(0), connect(1)];
        let reported = [BTreeMap::new(), BTreeMap::new()];
        let mut sessions = Self { straight, through, reported, status: b'I', queued: false };
        sessions.compare_reports([&plain, &online])?;
        Ok(sessions)
    }

    /// Sends a message on both sides and compares the answers.
    pub(super) fn send(&mut self, message: &Message) -> Result<Judged, String> {
        self.through.send(&message.bytes());
        let online = self.through.until_ready();
        self.queued |= online.iter().any(is_deferral);
        let error = online.iter().position(|frame| frame.tag == b'E' && is_ours(frame));
        if error.is_some_and(|place| is_unfinished(&online[place])) {
            return self.unfinished(message, &online);
        }
        if online.iter().any(is_given_up) {
            return Ok(Judged::Unfinished);
        }
        // A deferred statement may fail on the other side, where there is a way on.
        let marked = self.queued && self.status == b'T' && message.is_free_of_control();
        if marked {
            self.straight.query("SAVEPOINT model");
        }
        let bytes = match error {
            Some(place) => {
                let (before, parses) =
                    (statements_before(message, &online[..place]), parses(&online[..place]));
                message.failing_at(before, parses > before)
            }
            None => message.bytes(),
        };
        self.straight.send(&bytes);
        let plain = self.straight.until_ready();
        let goes_on =
            failure(&online).is_none() || (message.statements.len() > 1 && online.iter().any(is_deferral));
        if self.queued && error.is_none() && failure(&plain).is_some() && goes_on {
            return self.foreseen(message, marked, (&plain, &online));
        }
        if marked && status(&plain) == b'T' {
            self.straight.query("RELEASE model");
        }
        let leniency = match (error, self.queued) {
            (Some(_), _) => Leniency::Refused,
            (None, true) => Leniency::Queued,
            (None, false) => Leniency::None,
        };
        let both_fail = failure(&plain).is_some() && failure(&online).is_some();
        let forbidden = failure(&plain).is_some_and(|code| code.starts_with("23"));
        let of_moment = failure(&plain).is_some_and(|code| ONLY_THERE.contains(&code.as_str()));
        // The other side may have failed before, at what is deferred in the same message, or is forbidden by what is queued.
        let elsewhere = match leniency {
            Leniency::Refused => online.iter().any(is_deferral),
            Leniency::Queued => both_fail && (of_moment || forbidden && message.runs_several()),
            // It was tried on a copy, which nobody reads.
            Leniency::None => both_fail && of_moment,
        };
        if elsewhere {
            compare(ready(&plain), ready(&online), leniency)?;
            if message.form == Form::Named {
                return self.starts_over(message);
            }
        } else {
            compare(&plain, &online, leniency)?;
        }
        self.status = status(&online);
        self.queued &= self.status != b'I';
        self.compare_reports([&plain, &online])?;
        if online.iter().any(is_half_done) {
            return Ok(Judged::Unfinished);
        }
        Ok(Judged::Alike(online))
    }

    /// The other side has refused what the proxy has deferred, or what hangs on it.
    fn foreseen(
        &mut self,
        message: &Message,
        marked: bool,
        (plain, online): (&[Frame], &[Frame]),
    ) -> Result<Judged, String> {
        let code = failure(plain).unwrap_or_default();
        let only_there = ONLY_THERE.contains(&code.as_str());
        if (only_there || code.starts_with("23") && is_mended(&message.statements)) && status(online) == b'I'
        {
            // The message was a whole transaction, and is committed.
            return Ok(Judged::Unfinished);
        }
        if !marked || message.statements.len() > 1 {
            // In the middle of a message there is no way on: neither side commits.
            return self.starts_over(message);
        }
        let end = self.through.query("COMMIT");
        let told = end.iter().find(|frame| is_unfinished(frame));
        // Of several parts each may have an error of its own, and they are done in another order.
        let parts = |sql: &String| sql.starts_with("ALTER TABLE") && sql.contains(", A");
        let several = message.statements.iter().any(parts);
        let rightly = match told {
            Some(told) => only_there || several || is_reason(told, &code),
            None => only_there && failure(&end).is_none(),
        };
        if rightly {
            return Ok(Judged::Unfinished);
        }
        Err(format!(
            "  straight:{}\n  through the proxy:{}\n  and then COMMIT:{}",
            list(plain.iter().map(line)),
            list(online.iter().map(line)),
            list(end.iter().map(line))
        ))
    }

    /// Both sides roll back, and a name that the message may have given is not to mean the one statement here and the other there.
    fn starts_over(&mut self, message: &Message) -> Result<Judged, String> {
        let names = message.form == Form::Named || message.statements.len() > 1;
        let ends: &[&str] = if names { &["ROLLBACK", "DEALLOCATE ALL"] } else { &["ROLLBACK"] };
        (self.status, self.queued) = (b'I', false);
        let mut last = Vec::new();
        for sql in ends {
            let [plain, online] = [&mut self.straight, &mut self.through].map(|it| it.query(sql));
            compare(&plain, &online, Leniency::Queued)?;
            last = online;
        }
        Ok(Judged::Alike(last))
    }

    /// The proxy has committed, and could not do what was deferred: straight, the same message fails, which was a transaction of its
    /// own. The COMMIT of a block is asked for early where that is foreseen.
    fn unfinished(&mut self, message: &Message, online: &[Frame]) -> Result<Judged, String> {
        self.straight.send(&message.bytes());
        let plain = self.straight.until_ready();
        let told = online.iter().find(|frame| is_unfinished(frame));
        match (failure(&plain), told) {
            (Some(_), _) if self.status == b'I' => Ok(Judged::Unfinished),
            // The transaction was open, and the message has both what fails and its COMMIT.
            (Some(code), Some(told)) if is_reason(told, &code) => Ok(Judged::Unfinished),
            _ => compare(&plain, online, Leniency::None).map(|()| Judged::Unfinished),
        }
    }

    /// Compares what was reported so far, but in a failed transaction: behind a savepoint of the proxy's the server takes a setting
    /// of the transaction back not at once, but with the end of the transaction.
    fn compare_reports(&mut self, answers: [&[Frame]; 2]) -> Result<(), String> {
        for (known, answer) in self.reported.iter_mut().zip(answers) {
            let reports = answer.iter().filter(|frame| frame.tag == b'S');
            known.extend(reports.map(|frame| (frame.text(), frame.body.clone())));
        }
        let [plain, online] = &self.reported;
        if status(answers[0]) == b'E' || plain == online {
            return Ok(());
        }
        Err(format!("  straight: {plain:?}\n  through the proxy: {online:?}"))
    }
}

/// An answer's end.
fn ready(answer: &[Frame]) -> &[Frame] {
    &answer[answer.len() - 1..]
}

fn status(answer: &[Frame]) -> u8 {
    ready(answer)[0].body[0]
}

/// The SQLSTATE of an answer's error.
fn failure(answer: &[Frame]) -> Option<String> {
    answer.iter().find(|frame| frame.tag == b'E').map(Frame::sqlstate)
}

/// Whether this SQLSTATE is given as the reason why deferred work could not be done; of rows that offend in several ways, as a null
/// and a duplicate do to a primary key, either may be told.
fn is_reason(told: &Frame, code: &str) -> bool {
    let text = told.message();
    let given = text.strip_suffix(')').and_then(|text| text.rsplit_once('(')).map(|(_, given)| given);
    given.is_some_and(|given| given == code || [given, code].iter().all(|code| code.starts_with("23")))
}

/// Of a message's statements, how many had been answered before the one that failed.
fn statements_before(message: &Message, before: &[Frame]) -> usize {
    let answered = before.iter().filter(|frame| matches!(frame.tag, b'C' | b'I')).count();
    if message.form == Form::Again { 0 } else { answered }
}

/// Whether rows that a constraint may forbid are taken away or changed between it and the COMMIT.
fn is_mended(statements: &[String]) -> bool {
    const TABLES: [&str; 5] = ["a", "b", "c", "p", "d"];
    let tables = |sql: &str| TABLES.map(|table| sql.split([' ', ',', '(']).any(|word| word == table));
    let forbids = |sql: &&String| sql.starts_with("ALTER TABLE") || sql.starts_with("CREATE UNIQUE");
    let takes =
        |sql: &&String| ["TRUNCATE", "DELETE", "UPDATE", "DROP"].iter().any(|verb| sql.starts_with(verb));
    statements.iter().enumerate().filter(|(_, sql)| forbids(sql)).any(|(at, constraint)| {
        let behind = statements.iter().skip(at + 1).filter(takes);
        let same =
            |sql: &String| tables(sql).iter().zip(tables(constraint)).any(|(one, other)| *one && other);
        behind.into_iter().any(same)
    })
}

/// How many statements were parsed.
fn parses(before: &[Frame]) -> usize {
    before.iter().filter(|frame| frame.tag == b'1').count()
}

/// Compares two answers.
fn compare(plain: &[Frame], online: &[Frame], leniency: Leniency) -> Result<(), String> {
    let ours = online.iter().filter(|frame| is_ours(frame)).map(line);
    match difference(plain, online, leniency) {
        Some(difference) => Err(format!("{difference}\n  with:{}", list(ours))),
        None => Ok(()),
    }
}
