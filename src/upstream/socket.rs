//! The options of a socket, the same on both legs.

use std::io;
use std::os::fd::AsFd;

use super::settings::Liveness;
use socket2::{SockRef, TcpKeepalive};

/// Small answers leave at once, and a peer that vanishes is noticed.
///
/// A listening socket hands its options on to those that it accepts.
pub fn tune(stream: &impl AsFd, liveness: &Liveness) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
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
