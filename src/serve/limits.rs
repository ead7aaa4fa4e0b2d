//! What happens when the operating system gives no more sockets.

use std::fs::File;
use std::io::{self, Write as _};
use std::time::Duration;

use socket2::{SockRef, Socket};

use crate::base::{Notice, SqlState};
use crate::event::clock::{self, Moment};
use crate::event::{FileLimitLow, Unaccepted};
use crate::wire::notice;

/// So long nothing is accepted after a failure that accepting again would only repeat.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Failures are told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Files that are no session's: listeners, logs, runtimes, control connections.
const FILES_BESIDE: u64 = 64;

/// Deals with a failed accept. One spare file is kept: when files run out it is given up for a moment, so that the
/// next client can be told why it is not served.
#[derive(Debug)]
pub struct Relief {
    spare: Option<File>,
    told: Option<Moment>,
    untold: u64,
}

impl Relief {
    /// Takes the spare file.
    pub fn new() -> Self {
        Self { spare: spare(), told: None, untold: 0 }
    }

    /// What to do before accepting again.
    pub async fn after(&mut self, error: &io::Error, listener: SockRef<'_>) {
        if is_of_one_connection(error) {
            return;
        }
        self.tell(error);
        let refused = is_out_of_files(error) && self.refuse_one(&listener);
        if !refused {
            clock::pause(BACK_OFF).await;
        }
    }

    /// Accepts one connection by means of the spare file and refuses it.
    fn refuse_one(&mut self, listener: &Socket) -> bool {
        if self.spare.take().is_none() {
            self.spare = spare();
            return false;
        }
        let refused = match listener.accept() {
            Ok((socket, _)) => {
                refuse(&socket);
                true
            }
            Err(_) => false,
        };
        self.spare = spare();
        refused
    }

    fn tell(&mut self, error: &io::Error) {
        self.untold += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            Unaccepted { error, count: self.untold }.emit();
            self.told = Some(Moment::now());
            self.untold = 0;
        }
    }
}

impl Default for Relief {
    fn default() -> Self {
        Self::new()
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Nobody waits for the answer: if the client does not take it at once, it is lost.
fn refuse(socket: &Socket) {
    let notice = Notice::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
        .detail("The proxy has no file descriptors left.");
    if socket.set_nonblocking(true).is_ok() {
        let mut socket = socket;
        let _ = socket.write_all(&fatal(&notice));
        let _ = socket.shutdown(std::net::Shutdown::Write);
        // Closing a socket with unread bytes resets it, and the client would never see the answer.
        let mut unread = [0; 1024];
        let _ = io::Read::read(&mut socket, &mut unread);
    }
}

fn fatal(notice: &Notice) -> Vec<u8> {
    let mut out = Vec::new();
    notice::encode(notice, &mut out);
    out
}

/// The client was gone before it was accepted; the next one may be fine (`accept(2)`, "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::InvalidData
    )
}

fn is_out_of_files(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

/// Raises the limit of open files as far as the operating system lets us, and says so when it will not do.
///
/// Each session needs two. The soft limit is often 1,024 only for the sake of programs that use `select(2)`.
pub fn raise_file_limit(connections: Option<u32>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal shows below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let needed = connections.map_or(0, |connections| u64::from(connections) * 2 + FILES_BESIDE);
    if let Some(allowed) = getrlimit(Resource::Nofile).current
        && allowed < needed
    {
        FileLimitLow { allowed, needed }.emit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields;

    #[test]
    fn the_refusal_is_a_whole_message() {
        let bytes = fatal(&Notice::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry").detail("Why."));
        let frame = crate::wire::Frame::peek(&bytes).expect("framed").expect("whole");
        assert_eq!(fields::sqlstate(frame.body), SqlState::TOO_MANY_CONNECTIONS);
        assert_eq!(fields::field(frame.body, b'D'), Some(&b"Why."[..]));
    }

    #[test]
    fn errors_are_told_apart() {
        let error = |code: rustix::io::Errno| io::Error::from_raw_os_error(code.raw_os_error());
        assert!(is_out_of_files(&error(rustix::io::Errno::MFILE)));
        assert!(is_of_one_connection(&error(rustix::io::Errno::CONNABORTED)));
        assert!(!is_of_one_connection(&error(rustix::io::Errno::NOMEM)));
    }
}
