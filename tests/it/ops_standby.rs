//! Several hosts, one of which is a standby that streams from the other: who gets which, and what becomes of it when they change
//! their roles.

use lockkeeper::cluster::{Cluster, Options, Stop};

use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{PROTOCOL_3_0, Raw, startup};
use crate::support::{cluster_with, each_major, eventually};
use crate::wire::errors;

fn proxy(hosts: [&Cluster; 2], target: &str) -> Proxy {
    let [one, other] = hosts.map(Cluster::addr);
    Setup::without_upstream()
        .config("[upstream]")
        .config(&format!("hosts = ['{one}', '{other}']"))
        .config(&format!("target_session_attrs = '{target}'"))
        .config("[control]")
        .config("url = 'postgresql://postgres@localhost/postgres'")
        .start()
}

/// A new session, or why there is none.
fn come(proxy: &Proxy) -> Result<Raw, String> {
    let mut client = Raw::connect(proxy.addr());
    client.send(&startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]));
    loop {
        let frame = client.frame();
        match frame.tag {
            b'Z' => return Ok(client),
            b'E' => return Err(frame.message()),
            _ => {}
        }
    }
}

/// The port of the server that a new session gets.
fn server_of(proxy: &Proxy) -> u16 {
    let rows = come(proxy).expect("a session").rows("SHOW port");
    rows[0][0].as_deref().expect("a port").parse().expect("a number")
}

#[test]
fn sessions_follow_the_roles_of_the_hosts() {
    for installation in each_major() {
        let major = installation.major;
        let mut primary = cluster_with(&Options::new().installation(installation));
        let standby = Cluster::standby_of(&mut primary).expect("a standby");
        let (first, second) = (standby.port(), primary.port());
        let targets = [
            ("any", first),
            ("read-write", second),
            ("primary", second),
            ("standby", first),
            ("prefer-standby", first),
            ("read-only", first),
        ];
        let proxies = targets.map(|(target, port)| {
            let proxy = proxy([&standby, &primary], target);
            assert_eq!(server_of(&proxy), port, "{major}: {target}");
            proxy
        });
        for (target, port) in targets.into_iter().filter(|(target, _)| *target != "any") {
            assert_eq!(server_of(&proxy([&primary, &standby], target)), port, "{major}: {target}");
        }

        let [any, read_write, only_primary, only_standby, prefer_standby, read_only] = &proxies;
        let mut open = come(read_write).expect("a session");
        open.rows("CREATE TABLE kept (a int)");
        primary.stop(Stop::Fast).expect("stopped");
        assert_eq!(errors(&open.until_end()), ["57P01"]);
        for proxy in [read_write, only_primary] {
            assert_eq!(come(proxy).err().as_deref(), Some("none of the 2 servers takes the login"));
        }
        assert_eq!(server_of(only_standby), first);

        let promoted = Raw::session(standby.addr()).rows("SELECT pg_promote()");
        assert_eq!(promoted[0][0].as_deref(), Some("t"));
        for proxy in [read_write, only_primary] {
            let mut client = eventually("the new primary is found", || come(proxy).ok());
            client.rows("INSERT INTO kept VALUES (1)");
            assert_eq!(server_of(proxy), first, "{major}");
        }
        for proxy in [only_standby, read_only] {
            eventually("there is no standby any more", || come(proxy).err());
        }
        assert_eq!((server_of(any), server_of(prefer_standby)), (first, first), "{major}");
    }
}
