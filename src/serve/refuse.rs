//! Turning a client away: it is told why, and what it still sends does not cost it the answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::base::Notice;
use crate::upstream::Stream;
use crate::wire::notice;

/// How long a client may take to read its last message.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// How much of what it still sends is read and thrown away.
const IGNORED_BYTES_MAX: u64 = 64 << 10;

/// Sends an error of ours and closes.
pub async fn refuse(mut stream: Stream, why: &Notice) {
    let mut message = Vec::new();
    notice::encode(why, &mut message);
    let telling = async {
        stream.write_all(&message).await?;
        stream.flush().await
    };
    if let Ok(Ok(())) = timeout(CLOSE_WITHIN, telling).await {
        close(stream).await;
    }
}

/// Closes so that the peer can still read what was written last: a socket closed over unread bytes is reset, and a reset
/// throws away what the peer has not read yet.
pub async fn close(mut stream: Stream) {
    let closing = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(IGNORED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // The peer may be gone already; there is nobody left to tell.
    let _ = timeout(CLOSE_WITHIN, closing).await;
}
