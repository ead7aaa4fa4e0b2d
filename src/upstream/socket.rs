//! The options of a socket, the same on both legs.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::settings::Liveness;

/// Small answers leave at once, and a peer that vanishes is noticed.
pub fn tune(stream: &TcpStream, liveness: &Liveness) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(liveness.keepalive_idle)
        .with_interval(liveness.keepalive_interval)
        .with_retries(liveness.keepalive_count);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    if liveness.tcp_user_timeout.is_some() {
        socket.set_tcp_user_timeout(liveness.tcp_user_timeout)?;
    }
    Ok(())
}
