//! TEMP
use super::greet::Greeted;
use super::settings::Ready;
use crate::upstream::Stream;
use crate::upstream::dial::encryptions;
use crate::wire::Frame;
use crate::wire::login::CancelKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
pub struct Identity {
    pub user: String,
    pub database: String,
    pub application_name: String,
    pub replication: bool,
}
pub struct Session {
    pub client: Stream,
    pub upstream: Stream,
    pub identity: Identity,
    pub key: Option<CancelKey>,
    pub host: usize,
    pub client_encoding: String,
    pub leftover: Vec<u8>,
}
pub async fn log_in(g: Greeted, ready: &Ready) -> Option<Session> {
    let text = |n: &str| g.startup().and_then(|s| s.text(n)).unwrap_or_default();
    let identity = Identity {
        user: text("user"),
        database: text("database"),
        application_name: text("application_name"),
        replication: g.startup().is_some_and(|s| s.replication()),
    };
    let host = ready.upstream.host(0)?;
    let mut upstream = None;
    for e in encryptions(ready.settings.upstream.ssl_mode, host) {
        if let Ok(s) = ready.upstream.dial(host, *e).await {
            upstream = Some(s);
            break;
        }
    }
    let mut upstream = upstream?;
    let mut client = g.client;
    upstream.write_all(&g.packet).await.ok()?;
    upstream.flush().await.ok()?;
    let mut buf: Vec<u8> = Vec::new();
    let mut key = None;
    let mut enc = String::from("UTF8");
    let (mut a, mut b) = ([0u8; 4096], [0u8; 4096]);
    loop {
        tokio::select! {
            r = upstream.read(&mut a) => { let n = r.ok()?; if n == 0 { return None; } buf.extend_from_slice(&a[..n]); client.write_all(&a[..n]).await.ok()?; client.flush().await.ok()?; }
            r = client.read(&mut b) => { let n = r.ok()?; if n == 0 { return None; } upstream.write_all(&b[..n]).await.ok()?; upstream.flush().await.ok()?; }
        }
        while let Ok(Some(f)) = Frame::peek(&buf) {
            if f.kind == b'K' {
                key = CancelKey::of_backend(f.body);
            }
            if f.kind == b'S' && f.body.starts_with(b"client_encoding\0") {
                enc = String::from_utf8_lossy(&f.body[16..f.body.len() - 1]).into_owned();
            }
            if f.kind == b'Z' {
                return Some(Session {
                    client,
                    upstream,
                    identity,
                    key,
                    host: 0,
                    client_encoding: enc,
                    leftover: Vec::new(),
                });
            }
            let n = 5 + f.body.len();
            buf.drain(..n);
        }
    }
}
