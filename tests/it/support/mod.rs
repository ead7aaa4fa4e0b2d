//! What the tests stand on: clusters, proxies, a client that speaks raw bytes, and programs with a deadline.

#![expect(clippy::disallowed_methods, reason = "this is where tests wait, by looking until a deadline")]

pub(crate) mod application;
pub(crate) mod certificates;
pub(crate) mod operated;
pub(crate) mod programs;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod stage;
pub(crate) mod twins;

use std::time::{Duration, Instant};

use lockkeeper::cluster::{Cluster, Installation, Options, Tls};

/// How long anything may take before a test gives up. Generous: it is only reached when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A throwaway cluster of the preferred version.
pub(crate) fn cluster() -> Cluster {
    cluster_with(&Options::new())
}

/// A throwaway cluster that is set up as `options` say.
pub(crate) fn cluster_with(options: &Options) -> Cluster {
    Cluster::start(options).unwrap_or_else(|trouble| panic!("{}", chain(&trouble)))
}

/// One installation of each major version on this machine, the newest first.
pub(crate) fn each_major() -> Vec<Installation> {
    let mut all = Installation::all();
    all.sort_by_key(|one| std::cmp::Reverse(one.major));
    all.dedup_by_key(|one| one.major);
    assert!(!all.is_empty(), "{}", Installation::find().expect_err("nothing was found"));
    all
}

/// Asks again and again until there is an answer; `what` names it in the failure.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same for tests that run on tokio.
pub(crate) async fn eventually_async<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An error with everything that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[test]
fn every_major_at_hand_starts_and_speaks() {
    for installation in each_major() {
        let major = installation.major;
        let cluster = cluster_with(&Options::new().installation(installation));
        let mut client = raw::Raw::session(cluster.addr());
        let rows = client.rows("SHOW server_version_num");
        let number: u32 = rows[0][0].as_deref().expect("not null").parse().expect("a number");
        assert_eq!(number / 10_000, major);
    }
}

#[test]
fn tls_is_on_where_asked_for() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = Tls {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        client_authority: Some(made.cert.pem()),
    };
    for installation in each_major() {
        let cluster = cluster_with(&Options::new().installation(installation).tls(tls.clone()));
        let mut client = raw::Raw::connect(cluster.addr());
        client.send(&raw::ssl_request());
        assert_eq!(client.bytes(1), b"S");
    }
}

#[tokio::test]
async fn waiting_ends_with_the_first_answer() {
    let mut asked = 0;
    let answer = eventually_async("the third answer", async || {
        asked += 1;
        (asked == 3).then_some(asked)
    });
    assert_eq!(answer.await, 3);
}
