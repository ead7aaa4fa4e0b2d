//! `lockkeeper ping`: asks a proxy whether it answers.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::config;
use crate::serve::listener::Place;

use super::sources::SourceArgs;

/// A health check has to be over before the next one.
const WITHIN: Duration = Duration::from_secs(3);

/// Length 8 and the code of an `SSLRequest` (`NEGOTIATE_SSL_CODE` in `src/include/libpq/pqcomm.h`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Arguments of `lockkeeper ping`: those of the proxy that is asked.
#[derive(Debug, clap::Args)]
pub(super) struct PingArgs {
    #[command(flatten)]
    sources: SourceArgs,
}

/// Succeeds if the first of the addresses answers.
pub(super) fn run(args: &PingArgs) -> anyhow::Result<ExitCode> {
    let loaded = config::load(&args.sources.sources())?;
    let Some(place) = loaded.settings.listen.places.first() else { bail!("no address to ask") };
    let (address, answer) = match place {
        Place::Tcp { host, port } => {
            // What listens on every address listens on this one too.
            let host = match host.as_str() {
                "*" | "0.0.0.0" => "127.0.0.1",
                "::" => "::1",
                host => host,
            };
            (format!("{host}:{port}"), over_tcp(host, *port))
        }
        Place::Unix { directory, port } => {
            let path = directory.join(format!(".s.PGSQL.{port}"));
            (path.display().to_string(), over_unix(&path))
        }
    };
    match answer.with_context(|| format!("{address} does not answer"))? {
        b'S' | b'N' => Ok(ExitCode::SUCCESS),
        _ => bail!("{address} answers, but does not speak Postgres' protocol or refuses connections"),
    }
}

fn over_tcp(host: &str, port: u16) -> io::Result<u8> {
    let address = (host, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let socket = TcpStream::connect_timeout(&address, WITHIN)?;
    socket.set_read_timeout(Some(WITHIN))?;
    ask(&socket)
}

fn over_unix(path: &std::path::Path) -> io::Result<u8> {
    let socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(WITHIN))?;
    ask(&socket)
}

fn ask<S>(mut socket: S) -> io::Result<u8>
where
    S: io::Read + io::Write,
{
    socket.write_all(&SSL_REQUEST)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    let [byte] = answer;
    Ok(byte)
}
