//! A `CancelRequest`, passed on as it came.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::dial::{Unreachable, encryptions};
use super::settings::Host;
use super::{Stream, Upstream};

impl Upstream {
    /// Sends a `CancelRequest` to the host that holds the session (every host when that is not known) and returns when the
    /// server has closed the connection, which it does after sending the signal: the client may be told then, not before.
    pub async fn cancel(&self, host: Option<usize>, packet: &[u8]) -> Result<(), Unreachable> {
        let hosts = &self.settings().hosts;
        let mut outcome = Ok(());
        for (index, candidate) in hosts.iter().enumerate() {
            if host.is_none_or(|host| host == index) {
                outcome = Box::pin(self.cancel_on(candidate, packet)).await;
            }
        }
        outcome
    }

    async fn cancel_on(&self, host: &Host, packet: &[u8]) -> Result<(), Unreachable> {
        let limit = self.settings().connect_timeout;
        let mut stream = self.dial_any(host).await?;
        let exchange = async {
            stream.write_all(packet).await?;
            stream.flush().await?;
            // There is no answer; reading on is only waiting for the end, and a server that talks is cut short.
            let mut ignored = [0; 256];
            let _ = stream.read(&mut ignored).await;
            Ok(())
        };
        timeout(limit, exchange)
            .await
            .unwrap_or(Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(Unreachable::Connect)
    }

    /// The first connection that the policy allows and the host gives.
    async fn dial_any(&self, host: &Host) -> Result<Stream, Unreachable> {
        let mut last = Unreachable::NoTls;
        for encryption in encryptions(self.settings().ssl_mode, host) {
            match self.dial(host, *encryption).await {
                Err(error) if error.is_about_tls() => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }
}
