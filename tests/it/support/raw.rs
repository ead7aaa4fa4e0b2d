//! A client that knows nothing but frames: for tests that need to see or send the very bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::PATIENCE;

/// Protocol 3.0, as a start-up packet writes it.
pub(crate) const PROTOCOL_3_0: i32 = 196_608;
/// Protocol 3.2 (Postgres 18).
pub(crate) const PROTOCOL_3_2: i32 = 196_610;

/// One message from the server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The type byte.
    pub(crate) tag: u8,
    /// What follows the length.
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// A field of an `ErrorResponse` or `NoticeResponse`.
    pub(crate) fn field(&self, code: u8) -> Option<String> {
        self.body
            .split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&code))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    }

    /// The SQLSTATE of an error or notice.
    pub(crate) fn sqlstate(&self) -> String {
        self.field(b'C').unwrap_or_default()
    }

    /// The primary message of an error or notice.
    pub(crate) fn message(&self) -> String {
        self.field(b'M').unwrap_or_default()
    }

    /// The body up to its first zero byte: the tag of a `CommandComplete`, the name of a `ParameterStatus`.
    pub(crate) fn text(&self) -> String {
        let end = self.body.iter().position(|byte| *byte == 0).unwrap_or(self.body.len());
        String::from_utf8_lossy(&self.body[..end]).into_owned()
    }

    /// The columns of a `DataRow`, as text.
    pub(crate) fn columns(&self) -> Vec<Option<String>> {
        assert_eq!(self.tag, b'D', "{self:?} is no row");
        let mut rest = &self.body[2..];
        let mut columns = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = i32::from_be_bytes(*length);
            let (value, after) = after.split_at(usize::try_from(length).unwrap_or(0));
            columns.push((length >= 0).then(|| String::from_utf8_lossy(value).into_owned()));
            rest = after;
        }
        columns
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", char::from(self.tag), self.body.escape_ascii())
    }
}

/// The type bytes of frames in a row: "TDCZ".
pub(crate) fn tags(frames: &[Frame]) -> String {
    frames.iter().map(|frame| char::from(frame.tag)).collect()
}

/// A socket whose reads have a deadline.
pub(crate) trait Socket: Read + Write + Send {
    /// Sends no more, and goes on reading.
    fn half_close(&self);

    /// The same socket, for somebody who only sends.
    fn writer(&self) -> Box<dyn Write + Send> {
        panic!("a plain TCP connection only")
    }
}

impl Socket for TcpStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("shut down");
    }

    fn writer(&self) -> Box<dyn Write + Send> {
        Box::new(self.try_clone().expect("another handle"))
    }
}

impl Socket for UnixStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("shut down");
    }
}

/// A raw connection; everything in it panics where a test would have to.
pub(crate) struct Raw {
    socket: Box<dyn Socket>,
}

impl Raw {
    /// A TCP connection on which nothing was sent.
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("timeout");
        Self { socket: Box::new(socket) }
    }

    /// A connection by Unix-domain socket on which nothing was sent.
    pub(crate) fn connect_unix(path: &Path) -> Self {
        let socket = UnixStream::connect(path).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("timeout");
        Self { socket: Box::new(socket) }
    }

    /// A connection of another kind, with a deadline of its own.
    pub(crate) fn over(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::new(socket) }
    }

    /// A session of the superuser on database postgres, ready for statements.
    pub(crate) fn session(addr: SocketAddr) -> Self {
        let mut client = Self::connect(addr);
        client.start(&[("user", "postgres"), ("database", "postgres")]);
        client
    }

    /// Sends a 3.0 start-up packet and reads up to `ReadyForQuery`.
    pub(crate) fn start(&mut self, parameters: &[(&str, &str)]) -> Vec<Frame> {
        self.send(&startup(PROTOCOL_3_0, parameters));
        self.until_ready()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("send");
    }

    /// Sends each byte in a segment of its own.
    pub(crate) fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(std::slice::from_ref(byte));
        }
    }

    /// Reads exactly so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes).expect("read");
        bytes
    }

    /// Reads one frame.
    pub(crate) fn frame(&mut self) -> Frame {
        self.frame_or_end().expect("a frame, not the end of the connection")
    }

    /// Reads one frame; `None` when the other side has closed.
    pub(crate) fn frame_or_end(&mut self) -> Option<Frame> {
        let mut tag = [0];
        match self.socket.read(&mut tag) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(trouble) if trouble.kind() == ErrorKind::ConnectionReset => return None,
            Err(trouble) => panic!("no frame: {trouble}"),
        }
        let length = self.bytes(4);
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        let body = self.bytes(length as usize - 4);
        Some(Frame { tag: tag[0], body })
    }

    /// Reads every byte up to the end of the connection.
    pub(crate) fn bytes_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.socket.read_to_end(&mut bytes) {
            Err(trouble) if trouble.kind() != ErrorKind::ConnectionReset => panic!("no end: {trouble}"),
            _ => bytes,
        }
    }

    /// Reads frames up to and with the first of the given type.
    pub(crate) fn until(&mut self, tag: u8) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let Some(frame) = self.frame_or_end() else {
                panic!("closed before {}: {frames:?}", char::from(tag));
            };
            frames.push(frame);
            if frames.last().is_some_and(|frame| frame.tag == tag) {
                return frames;
            }
        }
    }

    /// Reads frames up to and with `ReadyForQuery`.
    pub(crate) fn until_ready(&mut self) -> Vec<Frame> {
        self.until(b'Z')
    }

    /// Reads every frame up to the end of the connection.
    pub(crate) fn until_end(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.frame_or_end()).collect()
    }

    /// Sends a simple query and reads up to `ReadyForQuery`.
    pub(crate) fn query(&mut self, sql: &str) -> Vec<Frame> {
        self.send(&query(sql));
        self.until_ready()
    }

    /// The rows of a simple query that must succeed.
    pub(crate) fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let frames = self.query(sql);
        assert!(frames.iter().all(|frame| frame.tag != b'E'), "{sql}: {frames:?}");
        frames.iter().filter(|frame| frame.tag == b'D').map(Frame::columns).collect()
    }

    /// For somebody who sends meanwhile.
    pub(crate) fn writer(&self) -> Box<dyn Write + Send> {
        self.socket.writer()
    }

    /// Sends no more, and goes on reading.
    pub(crate) fn half_close(&mut self) {
        self.socket.half_close();
    }
}

/// A start-up packet.
pub(crate) fn startup(protocol: i32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = protocol.to_be_bytes().to_vec();
    for (name, value) in parameters {
        text(&mut body, name);
        text(&mut body, value);
    }
    body.push(0);
    untyped(&body)
}

/// `SSLRequest`.
pub(crate) fn ssl_request() -> Vec<u8> {
    untyped(&80_877_103_i32.to_be_bytes())
}

/// `GSSENCRequest`.
pub(crate) fn gss_request() -> Vec<u8> {
    untyped(&80_877_104_i32.to_be_bytes())
}

/// `CancelRequest`, with the body of the `BackendKeyData` that the session got.
pub(crate) fn cancel_request(key_data: &[u8]) -> Vec<u8> {
    untyped(&[&80_877_102_i32.to_be_bytes(), key_data].concat())
}

/// Query.
pub(crate) fn query(sql: &str) -> Vec<u8> {
    named(b'Q', &[sql])
}

/// Parse without parameter types.
pub(crate) fn parse(name: &str, sql: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, name);
    text(&mut body, sql);
    body.extend(0_i16.to_be_bytes());
    framed(b'P', &body)
}

/// Bind with text parameters and text results.
pub(crate) fn bind(portal: &str, statement: &str, parameters: &[Option<&str>]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, portal);
    text(&mut body, statement);
    body.extend(0_i16.to_be_bytes());
    body.extend(i16::try_from(parameters.len()).expect("few").to_be_bytes());
    for parameter in parameters {
        match parameter {
            Some(value) => {
                body.extend(i32::try_from(value.len()).expect("short").to_be_bytes());
                body.extend(value.as_bytes());
            }
            None => body.extend((-1_i32).to_be_bytes()),
        }
    }
    body.extend(0_i16.to_be_bytes());
    framed(b'B', &body)
}

/// Describe of a statement (`b'S'`) or portal (`b'P'`).
pub(crate) fn describe(kind: u8, name: &str) -> Vec<u8> {
    framed(b'D', &[&[kind], name.as_bytes(), &[0]].concat())
}

/// Close of a statement (`b'S'`) or portal (`b'P'`).
pub(crate) fn close(kind: u8, name: &str) -> Vec<u8> {
    framed(b'C', &[&[kind], name.as_bytes(), &[0]].concat())
}

/// Execute with a row limit; 0 is none.
pub(crate) fn execute(portal: &str, limit: i32) -> Vec<u8> {
    framed(b'E', &[portal.as_bytes(), &[0], &limit.to_be_bytes()].concat())
}

/// Sync.
pub(crate) fn sync() -> Vec<u8> {
    framed(b'S', &[])
}

/// Flush.
pub(crate) fn flush() -> Vec<u8> {
    framed(b'H', &[])
}

/// Terminate.
pub(crate) fn terminate() -> Vec<u8> {
    framed(b'X', &[])
}

/// `CopyData`.
pub(crate) fn copy_data(bytes: &[u8]) -> Vec<u8> {
    framed(b'd', bytes)
}

/// `CopyDone`.
pub(crate) fn copy_done() -> Vec<u8> {
    framed(b'c', &[])
}

/// `CopyFail`.
pub(crate) fn copy_fail(reason: &str) -> Vec<u8> {
    named(b'f', &[reason])
}

/// `PasswordMessage`.
pub(crate) fn password(word: &str) -> Vec<u8> {
    named(b'p', &[word])
}

/// Any message: type, length, body.
pub(crate) fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], untyped(body).as_slice()].concat()
}

fn named(tag: u8, texts: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for one in texts {
        text(&mut body, one);
    }
    framed(tag, &body)
}

pub(crate) fn untyped(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&length.to_be_bytes(), body].concat()
}

fn text(body: &mut Vec<u8>, value: &str) {
    body.extend(value.as_bytes());
    body.push(0);
}

#[test]
fn speaks_simple_and_extended_protocol() {
    let cluster = super::cluster();
    let mut client = Raw::session(cluster.addr());
    assert_eq!(client.rows("SELECT 1, NULL, 'ü'"), [[Some("1".to_owned()), None, Some("ü".to_owned())]]);
    let pipeline = [
        parse("s", "SELECT $1::int + 1"),
        describe(b'S', "s"),
        bind("p", "s", &[Some("41")]),
        execute("p", 0),
        close(b'P', "p"),
        sync(),
    ];
    client.send_bytewise(&pipeline.concat());
    let frames = client.until_ready();
    assert_eq!(tags(&frames), "1tT2DC3Z");
    assert_eq!(frames[4].columns(), [Some("42".to_owned())]);
    assert_eq!(frames[5].text(), "SELECT 1");
    client.send(&[parse("", "SELECT none"), flush()].concat());
    let error = client.frame();
    assert_eq!(
        (error.sqlstate().as_str(), error.message().as_str()),
        ("42703", "column \"none\" does not exist")
    );
    client.send(&sync());
    client.until_ready();
    client.send(&terminate());
    assert_eq!(client.until_end(), []);
}

#[test]
fn copies_cancels_and_closes_one_half() {
    let cluster = super::cluster();
    let mut asking = Raw::connect(cluster.addr());
    asking.send(&gss_request());
    // Servers that were built with GSSAPI go on in its protocol, which is not spoken here.
    assert!(matches!(asking.bytes(1).as_slice(), b"N" | b"G"));
    let mut client = Raw::connect(cluster.addr());
    let hello = client.start(&[("user", "postgres"), ("database", "postgres")]);
    let key = hello.iter().find(|frame| frame.tag == b'K').expect("BackendKeyData").body.clone();
    client.rows("CREATE TEMP TABLE t (a text)");
    client.send(&query("COPY t FROM STDIN"));
    assert_eq!(client.frame().tag, b'G');
    client.send(&[copy_data(b"one\n"), copy_done()].concat());
    assert_eq!(client.until_ready()[0].text(), "COPY 1");
    client.send(&query("COPY t FROM STDIN"));
    client.until(b'G');
    client.send(&copy_fail("changed my mind"));
    assert_eq!(client.until_ready()[0].sqlstate(), "57014");
    client.send(&query("SELECT pg_sleep(600)"));
    super::eventually("the statement runs", || {
        let mut other = Raw::session(cluster.addr());
        let rows = other.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
        (!rows.is_empty()).then_some(())
    });
    Raw::connect(cluster.addr()).send(&cancel_request(&key));
    let frames = client.until_ready();
    assert!(frames.iter().any(|frame| frame.tag == b'E' && frame.sqlstate() == "57014"), "{frames:?}");
    client.half_close();
    assert_eq!(client.until_end(), []);
}

#[test]
fn sends_passwords_and_newer_protocols_by_unix_socket() {
    let options = lockkeeper::cluster::Options::new().hba("local all guest password");
    let cluster = super::cluster_with(&options);
    Raw::session(cluster.addr()).rows("CREATE ROLE guest LOGIN PASSWORD 'welcome'");
    let path = cluster.socket_dir().join(format!(".s.PGSQL.{}", cluster.port()));
    let mut client = Raw::connect_unix(&path);
    client.send(&startup(PROTOCOL_3_2, &[("user", "guest"), ("database", "postgres")]));
    client.until(b'R');
    client.send(&password("welcome"));
    assert_eq!(client.frame().tag, b'R');
    client.until_ready();
}
