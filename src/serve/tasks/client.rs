//! A client of the proxy's own sessions, in the same process.

use std::future::poll_fn;

use tokio::net::UnixStream;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls};

use crate::serve::listener::{Accepted, Peer, Socket};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum NoSession {
    /// No socket.
    #[error("cannot make a socket")]
    Socket(#[from] std::io::Error),
    /// The login failed.
    #[error(transparent)]
    Login(#[from] Error),
}

/// Logs in to a session that `hand` serves; each notice is told. Needs a `LocalSet`.
pub async fn connect(
    hand: &dyn Fn(Accepted),
    mut login: Config,
    notice: impl Fn(&DbError) + 'static,
) -> Result<Client, NoSession> {
    let ours = handed(hand)?;
    // Between the two there is nobody, and what is beyond is the session's business.
    login.ssl_mode(SslMode::Disable).channel_binding(ChannelBinding::Disable);
    let (client, mut connection) = login.connect_raw(ours, NoTls).await?;
    tokio::task::spawn_local(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notice(said) = message {
                notice(&said);
            }
        }
    });
    Ok(client)
}

/// Asks to cancel what a session is doing, as Ctrl-C in psql does.
pub async fn cancel(hand: &dyn Fn(Accepted), client: &Client) -> Result<(), NoSession> {
    let ours = handed(hand)?;
    Ok(client.cancel_token().cancel_query_raw(ours, NoTls).await?)
}

/// Our end of a connection that was handed over.
fn handed(hand: &dyn Fn(Accepted)) -> std::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    hand(Accepted { socket: Socket::Unix(theirs.into_std()?), peer: Peer::Local });
    Ok(ours)
}
