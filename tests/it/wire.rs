//! What the transparency tests stand on: one script, run straight and through the proxy, must hear the same bytes.
//!
//! Masked are only what no two sessions share: the cancel key, and the process id in a notification.

use std::net::SocketAddr;

use lockkeeper::cluster::{Cluster, Options};

use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{self, Frame, PROTOCOL_3_0, Raw};
use crate::support::{cluster, cluster_with};

/// A cluster with a proxy in front of it.
pub(crate) struct Pair {
    pub(crate) proxy: Proxy,
    pub(crate) cluster: Cluster,
}

impl Pair {
    /// With the settings that everybody has.
    pub(crate) fn new() -> Self {
        let cluster = cluster();
        Self { proxy: Proxy::start(&cluster), cluster }
    }

    /// With a configuration line for the proxy.
    pub(crate) fn configured(lines: &[&str]) -> Self {
        let cluster = cluster();
        let setup = lines.iter().fold(Setup::new(&cluster.addr()), |setup, line| setup.config(line));
        Self { proxy: setup.start(), cluster }
    }

    /// With options for the server.
    pub(crate) fn with(options: &Options) -> Self {
        let cluster = cluster_with(options);
        Self { proxy: Proxy::start(&cluster), cluster }
    }

    /// A session of the superuser that goes around the proxy.
    pub(crate) fn straight(&self) -> Raw {
        Raw::session(self.cluster.addr())
    }

    /// A session of the superuser through the proxy.
    pub(crate) fn through(&self) -> Raw {
        Raw::session(self.proxy.addr())
    }

    /// Runs a script straight and through the proxy; both must hear the same.
    pub(crate) fn same(&self, script: impl Fn(&mut Talk)) -> Vec<Frame> {
        self.same_masking(|_| true, script)
    }

    /// The same, of the messages that are `wanted`.
    pub(crate) fn same_masking(
        &self,
        wanted: impl Fn(&mut Frame) -> bool,
        script: impl Fn(&mut Talk),
    ) -> Vec<Frame> {
        let hear = |addr| {
            let mut talk = Talk::new(addr);
            script(&mut talk);
            talk.heard.retain_mut(&wanted);
            talk.heard
        };
        let (straight, through) = (hear(self.cluster.addr()), hear(self.proxy.addr()));
        let differ = straight.iter().zip(&through).position(|(one, other)| one != other);
        let at = differ.unwrap_or(straight.len().min(through.len()));
        let context =
            |frames: &[Frame]| format!("{:.2000}", format!("{:?}", frames.get(at..).unwrap_or(&[])));
        assert!(
            straight == through,
            "message {at} differs\nstraight: {}\nthrough:  {}",
            context(&straight),
            context(&through)
        );
        straight
    }

    /// The same for scripts of a session that has logged in.
    pub(crate) fn same_session(&self, script: impl Fn(&mut Talk)) -> Vec<Frame> {
        self.same(|talk| {
            talk.log_in(&[]);
            script(talk);
        })
    }
}

/// One run of a script: a raw client that remembers what it heard.
pub(crate) struct Talk {
    addr: SocketAddr,
    pub(crate) client: Raw,
    heard: Vec<Frame>,
}

impl Talk {
    fn new(addr: SocketAddr) -> Self {
        Self { addr, client: Raw::connect(addr), heard: Vec::new() }
    }

    /// Where this run connects to.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Logs the superuser in, with more start-up parameters.
    pub(crate) fn log_in(&mut self, more: &[(&str, &str)]) {
        let all = [&[("user", "postgres"), ("database", "postgres")], more].concat();
        self.send(&raw::startup(PROTOCOL_3_0, &all));
        self.ready();
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.client.send(bytes);
    }

    /// Hears everything up to the first message of this type.
    pub(crate) fn until(&mut self, tag: u8) {
        let frames = self.client.until(tag);
        self.hear(frames);
    }

    /// Hears everything up to `ReadyForQuery`.
    pub(crate) fn ready(&mut self) {
        self.until(b'Z');
    }

    /// Hears everything up to the end of the connection.
    pub(crate) fn end(&mut self) {
        let frames = self.client.until_end();
        self.hear(frames);
        self.heard.push(Frame { tag: b'.', body: Vec::new() });
    }

    /// Hears what is left up to the end of a connection that the server may reset over unread bytes.
    pub(crate) fn hear(&mut self, frames: Vec<Frame>) {
        self.heard.extend(frames.into_iter().map(masked));
    }

    /// A simple query, heard to its end.
    pub(crate) fn query(&mut self, sql: &str) {
        self.send(&raw::query(sql));
        self.ready();
    }
}

/// Without what differs between any two sessions.
fn masked(mut frame: Frame) -> Frame {
    match frame.tag {
        b'K' => frame.body.fill(0),
        b'A' => frame.body[..4].fill(0),
        _ => {}
    }
    frame
}

/// The command tags of all that finished.
pub(crate) fn done(frames: &[Frame]) -> Vec<String> {
    frames.iter().filter(|frame| frame.tag == b'C').map(Frame::text).collect()
}

/// The SQLSTATEs of all errors.
pub(crate) fn errors(frames: &[Frame]) -> Vec<String> {
    frames.iter().filter(|frame| frame.tag == b'E').map(Frame::sqlstate).collect()
}

/// The most memory that the proxy has ever had resident, in kB.
pub(crate) fn peak_kilobytes(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("a running proxy");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}
