//! Why a login did not become a session, and what the client is told.

use std::io;

use thiserror::Error;

use crate::base::{Notice, SqlState};
use crate::upstream::scram;
use crate::wire::Malformed;

use super::attempt::Failure;
use super::source::NotFound;

/// Why a login did not become a session. The client has been told what there was to tell.
#[derive(Debug, Error)]
pub enum Ended {
    /// The server refused it, in words of its own.
    #[error("the server refused the login with SQLSTATE {0}")]
    Refused(SqlState),
    /// The client left.
    #[error("the client left during the login")]
    ClientGone(#[source] Option<io::Error>),
    /// No server could be reached, each with the reason.
    #[error("{}", no_server(.0))]
    NoServer(Vec<Failure>),
    /// The server closed the connection.
    #[error("the server closed the connection during the login")]
    UpstreamLost(#[source] Option<io::Error>),
    /// The server sent what is no message.
    #[error("the server sent a message that cannot be read during the login")]
    UpstreamMalformed(#[source] Malformed),
    /// The server sent a message that does not belong here.
    #[error("the server sent an unexpected message of type {0:#04x} during the login")]
    UpstreamUnexpected(u8),
    /// The server's part of SCRAM is malformed or beyond all bounds.
    #[error("the server's SCRAM message cannot be used")]
    UpstreamScram(#[source] scram::Malformed),
    /// The server could not prove that it knows the password, or let in one who did not.
    #[error("the server did not keep to the login's rules")]
    UpstreamUntrue,
    /// The server took a start-up packet that the proxy cannot read.
    #[error("the server accepted a startup packet that cannot be read")]
    Unreadable,
    /// The client sent what is no message.
    #[error("the client sent a message that cannot be read")]
    ClientMalformed(#[source] Malformed),
    /// The client sent something else where an answer was due.
    #[error("expected SASL response, got message type {0}")]
    ClientUnexpected(u8),
    /// The client's part of SCRAM is malformed.
    #[error("{0}")]
    ClientScram(scram::Malformed),
    /// The client saw a certificate that is not the proxy's.
    #[error("SCRAM channel binding check failed")]
    BindingMismatch,
    /// Different certificates on both legs, channel binding, and nothing to authenticate by.
    #[error("the login cannot be relayed with channel binding")]
    NoVerifiers,
    /// The verifier could not be looked up.
    #[error("cannot look up the role's password verifier")]
    VerifierNotFound(#[source] NotFound),
    /// The system gives no random bytes.
    #[error("no random bytes for a login")]
    NoRandomness(getrandom::Error),
}

fn no_server(failures: &[Failure]) -> String {
    match failures {
        [(host, why)] => format!("cannot reach the server at {host}: {why}"),
        failures => format!("none of the {} servers takes the login", failures.len()),
    }
}

impl Ended {
    /// What the client is told; `None` when it has heard it from the server, or is gone.
    pub(super) fn notice(&self) -> Option<Notice> {
        let notice = |code| Some(Notice::fatal(code, self.to_string()));
        match self {
            Self::Refused(_) | Self::ClientGone(_) => None,
            Self::NoServer(failures) => notice(SqlState::CONNECTION_FAILURE).map(|notice| told(notice, failures)),
            Self::UpstreamLost(_) => notice(SqlState::CONNECTION_FAILURE)
                .map(|notice| notice.hint("The server's log may say why; connecting again may help.")),
            Self::UpstreamMalformed(_)
            | Self::UpstreamUnexpected(_)
            | Self::UpstreamScram(_)
            | Self::UpstreamUntrue
            | Self::Unreadable => notice(SqlState::CONNECTION_FAILURE).map(|notice| {
                notice.hint("Make sure that the proxy's upstream is the Postgres server that it is meant to be.")
            }),
            Self::ClientMalformed(_) | Self::ClientUnexpected(_) | Self::ClientScram(_) => {
                notice(SqlState::PROTOCOL_VIOLATION)
            }
            Self::BindingMismatch => notice(SqlState::INVALID_AUTHORIZATION),
            Self::NoVerifiers => notice(SqlState::INVALID_AUTHORIZATION).map(|notice| {
                notice
                    .detail("The proxy and the server show different certificates, and the client binds its login to the proxy's.")
                    .hint(
                        "Give the proxy the server's certificate, or set auth.verifier_file or auth.verifier_query, \
                         or connect with channel_binding=disable.",
                    )
            }),
            Self::VerifierNotFound(why) => notice(SqlState::INVALID_AUTHORIZATION)
                .map(|notice| notice.detail(format!("In the proxy, {why}.")).hint("The proxy's log says more.")),
            Self::NoRandomness(_) => notice(SqlState::INTERNAL_ERROR),
        }
    }
}

fn told(notice: Notice, failures: &[Failure]) -> Notice {
    let hint = "Check that Postgres runs there, and that upstream.hosts and any firewall between are right.";
    let notice = notice.hint(hint);
    if failures.len() < 2 {
        return notice;
    }
    let lines: Vec<_> = failures.iter().map(|(host, why)| format!("{host}: {why}")).collect();
    notice.detail(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_named_in_the_message_and_several_in_the_detail() {
        let failure = |host: &str| (host.to_owned(), "connection refused".to_owned());
        let one = Ended::NoServer(vec![failure("db1:5432")]).notice().unwrap();
        assert_eq!(one.message, "cannot reach the server at db1:5432: connection refused");
        assert_eq!((one.code, one.detail), (SqlState::CONNECTION_FAILURE, None));
        let two = Ended::NoServer(vec![failure("db1:5432"), failure("db2:5432")]).notice().unwrap();
        assert_eq!(two.message, "none of the 2 servers takes the login");
        assert_eq!(two.detail.as_deref(), Some("db1:5432: connection refused\ndb2:5432: connection refused"));
    }
}
