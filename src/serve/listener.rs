//! Listening sockets: binds them, accepts, and hands each connection to a worker.
//!
//! Options of accepted TCP sockets are set on the listening socket, from which they are inherited: four system calls less
//! for each connection.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as Raw, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::upstream::Stream;
use crate::upstream::settings::Liveness;
use crate::upstream::socket::tune;

use super::limits::Relief;
use super::unix_socket::{SocketFile, Taken};

/// How to listen; valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// Where, at least one.
    pub places: Vec<Place>,
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// Whether other processes may listen on the same port.
    pub reuse_port: bool,
    /// Permissions of Unix-domain sockets.
    pub unix_mode: u32,
    /// How clients that vanished are noticed.
    pub liveness: Liveness,
}

/// One place to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A host name, an address, or `*`.
    Tcp {
        /// Without brackets.
        host: String,
        /// 0 takes any free port.
        port: u16,
    },
    /// A Unix-domain socket.
    Unix {
        /// The directory that holds it.
        directory: std::path::PathBuf,
        /// The port in its name.
        port: u16,
    },
}

/// An accepted connection on its way to a worker.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, not blocking.
    pub socket: Socket,
    /// Who connects.
    pub peer: Peer,
}

/// An accepted socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP over IPv4 or IPv6.
    Tcp(std::net::TcpStream),
    /// A Unix-domain socket.
    Unix(UnixStream),
}

impl Socket {
    /// The same on the runtime of this thread; another has accepted it.
    pub(super) fn stream(self) -> std::io::Result<Stream> {
        match self {
            Self::Tcp(socket) => tokio::net::TcpStream::from_std(socket).map(Stream::Tcp),
            Self::Unix(socket) => tokio::net::UnixStream::from_std(socket).map(Stream::Unix),
        }
    }
}

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// From this address.
    Tcp(SocketAddr),
    /// From this machine.
    Local,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum CannotListen {
    /// The host name has no address.
    #[error("cannot resolve {host:?}")]
    Resolve {
        /// As configured.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The address is taken, not of this machine, or not allowed.
    #[error("cannot listen on {address}")]
    Bind {
        /// As configured.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Another process serves this Unix-domain socket.
    #[error(transparent)]
    Taken(#[from] Taken),
}

/// One listening socket.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    address: String,
    relief: Relief,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// The file is taken away when the listener is dropped.
        _file: SocketFile,
    },
}

impl Listener {
    /// Binds every address; all of them or none.
    pub fn bind_all(settings: &ListenSettings) -> Result<Vec<Self>, CannotListen> {
        let mut listeners = Vec::new();
        for place in &settings.places {
            match place {
                Place::Tcp { host, port } => {
                    for address in resolve(host, *port)? {
                        listeners.push(Self::tcp(address, settings)?);
                    }
                }
                Place::Unix { directory, port } => {
                    let file = SocketFile::claim(directory, *port)?;
                    listeners.push(Self::unix(file, settings)?);
                }
            }
        }
        Ok(listeners)
    }

    /// Where clients connect, with the real port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The real port, or the one in the socket's name.
    pub fn port(&self) -> u16 {
        self.address.rsplit([':', '.']).next().and_then(|port| port.parse().ok()).unwrap_or_default()
    }

    /// The next connection. Trouble of one connection, or too many open files, is dealt with here.
    pub async fn accept(&mut self) -> Accepted {
        loop {
            match self.kind.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => self.relief.after(&error, self.kind.socket()).await,
            }
        }
    }

    fn tcp(address: SocketAddr, settings: &ListenSettings) -> Result<Self, CannotListen> {
        let bind = || {
            let socket = Raw::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(settings.reuse_port)?;
            if address.is_ipv6() {
                // Otherwise `[::]` would take the IPv4 port too, and `*` could not be bound.
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())?;
            tune(&socket, &settings.liveness)?;
            socket.listen(settings.backlog)?;
            let real = socket.local_addr()?.as_socket().unwrap_or(address);
            socket.set_nonblocking(true)?;
            let listener = TcpListener::from_std(socket.into())?;
            Ok(Self { kind: Kind::Tcp(listener), address: real.to_string(), relief: Relief::new() })
        };
        bind().map_err(|source| CannotListen::Bind { address: address.to_string(), source })
    }

    fn unix(file: SocketFile, settings: &ListenSettings) -> Result<Self, CannotListen> {
        let shown = file.path().display().to_string();
        let bind = || {
            use std::os::unix::fs::PermissionsExt as _;
            let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(file.path())?)?;
            let mode = std::fs::Permissions::from_mode(settings.unix_mode);
            std::fs::set_permissions(file.path(), mode)?;
            socket.listen(settings.backlog)?;
            socket.set_nonblocking(true)?;
            let listener = UnixListener::from_std(socket.into())?;
            let kind = Kind::Unix { listener, _file: file };
            Ok(Self { kind, address: shown.clone(), relief: Relief::new() })
        };
        bind().map_err(|source| CannotListen::Bind { address: shown.clone(), source })
    }
}

impl Kind {
    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                // The worker's runtime is another one, so this runtime lets go of the socket.
                Accepted { socket: Socket::Tcp(socket.into_std()?), peer: Peer::Tcp(peer) }
            }
            Self::Unix { listener, .. } => {
                let (socket, _) = listener.accept().await?;
                Accepted { socket: Socket::Unix(socket.into_std()?), peer: Peer::Local }
            }
        })
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix { listener, .. } => SockRef::from(listener),
        }
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, CannotListen> {
    if host == "*" {
        return Ok(vec![SocketAddr::from(([0; 4], port)), SocketAddr::from(([0_u16; 8], port))]);
    }
    let found = (host, port).to_socket_addrs();
    let mut addresses: Vec<_> =
        found.map_err(|source| CannotListen::Resolve { host: host.to_owned(), source })?.collect();
    addresses.dedup();
    Ok(addresses)
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Local => f.write_str("[local]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn settings(places: Vec<Place>) -> ListenSettings {
        let liveness = Liveness {
            keepalive_idle: Duration::from_secs(7),
            keepalive_interval: Duration::from_secs(3),
            keepalive_count: 4,
            tcp_user_timeout: Some(Duration::from_secs(9)),
        };
        ListenSettings { places, backlog: 16, reuse_port: false, unix_mode: 0o700, liveness }
    }

    #[tokio::test]
    async fn accepted_sockets_inherit_their_options() {
        let place = Place::Tcp { host: "127.0.0.1".into(), port: 0 };
        let mut listeners = Listener::bind_all(&settings(vec![place])).expect("a free port");
        let mut listener = listeners.pop().expect("one address");
        let client = std::net::TcpStream::connect(listener.address()).expect("it listens");
        let accepted = listener.accept().await;
        assert_eq!(accepted.peer.to_string(), client.local_addr().expect("connected").to_string());
        let Socket::Tcp(socket) = accepted.socket else { panic!("TCP") };
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().expect("readable") && socket.keepalive().expect("readable"));
        assert_eq!(socket.tcp_keepalive_time().expect("readable"), Duration::from_secs(7));
        assert!(socket.nonblocking().expect("readable"));
    }

    #[tokio::test]
    async fn unix_sockets_are_claimed_and_taken_away() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::Unix { directory: directory.path().into(), port: 6432 };
        let path: PathBuf = directory.path().join(".s.PGSQL.6432");
        let mut listeners = Listener::bind_all(&settings(vec![place.clone()])).expect("a free name");
        let taken = Listener::bind_all(&settings(vec![place.clone()])).expect_err("it is served");
        assert!(matches!(taken, CannotListen::Taken(_)), "{taken}");
        let mode = std::fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let _client = UnixStream::connect(&path).expect("it listens");
        let accepted = listeners.first_mut().expect("one").accept().await;
        assert_eq!(accepted.peer.to_string(), "[local]");
        drop(listeners);
        assert!(!path.exists());
        // What a killed process leaves behind is no hindrance.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a free name"));
        assert!(path.exists());
        Listener::bind_all(&settings(vec![place])).expect("a stale socket is replaced");
    }

    #[tokio::test]
    async fn every_address_of_the_machine() {
        let star = Place::Tcp { host: "*".into(), port: 0 };
        match Listener::bind_all(&settings(vec![star])) {
            Ok(listeners) => assert_eq!(listeners.len(), 2),
            // A machine without IPv6.
            Err(error) => assert!(error.to_string().contains("[::]"), "{error}"),
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_said_so() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = held.local_addr().expect("bound").port();
        let place = Place::Tcp { host: "127.0.0.1".into(), port };
        let error = Listener::bind_all(&settings(vec![place])).expect_err("taken");
        assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
    }
}
