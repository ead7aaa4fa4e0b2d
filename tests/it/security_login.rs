//! Who somebody is, is the server's to say; the proxy's own login helps nobody.

use lockkeeper::cluster::Options;

use crate::support::raw::{Frame, PROTOCOL_3_0, Raw, password, startup};
use crate::wire::{Pair, errors};

/// A pair whose server asks everybody but the superuser for a password, which the proxy's own login has.
fn pair() -> Pair {
    let options =
        Options::new().hba("host all postgres 127.0.0.1/32 trust").hba("host all all 127.0.0.1/32 password");
    let pair = Pair::with(&options);
    let mut admin = pair.straight();
    admin.rows("CREATE ROLE guest LOGIN PASSWORD 'welcome'");
    admin.rows("CREATE ROLE control LOGIN SUPERUSER PASSWORD 'secret'");
    pair
}

/// What a login is answered; the password is sent where it is asked for.
fn login(client: &mut Raw, user: &str, word: &str, more: &[(&str, &str)]) -> Vec<Frame> {
    let all = [&[("user", user), ("database", "postgres")], more].concat();
    client.send(&startup(PROTOCOL_3_0, &all));
    let first = client.frame();
    if first.tag == b'R' && first.body == 3_i32.to_be_bytes() {
        client.send(&password(word));
    }
    let mut heard = vec![first];
    while heard.last().is_some_and(|frame| frame.tag != b'Z') {
        let Some(frame) = client.frame_or_end() else { break };
        heard.push(frame);
    }
    heard
}

fn same_login(pair: &Pair, user: &str, word: &str) -> Vec<Frame> {
    pair.same(|talk| {
        let heard = login(&mut talk.client, user, word, &[]);
        talk.hear(heard);
    })
}

#[test]
fn nobody_becomes_somebody_else() {
    let pair = pair();
    for (user, word) in [
        ("nobody", "welcome"),
        ("nobody", ""),
        ("control", "welcome"),
        ("guest", "wrong"),
        ("GUEST", "welcome"),
    ] {
        assert_eq!(errors(&same_login(&pair, user, word)), ["28P01"], "{user}");
    }
    let mut guest = Raw::connect(pair.proxy.addr());
    login(&mut guest, "guest", "welcome", &[]);
    assert_eq!(
        guest.rows("SELECT session_user, current_user"),
        [[Some("guest".to_owned()), Some("guest".to_owned())]]
    );
    // What is looked after runs with the client's own rights.
    pair.straight().rows("CREATE TABLE private (a int); CREATE INDEX private_a ON private (a)");
    for sql in [
        "ALTER TABLE private ADD b int",
        "CREATE INDEX ON private (a)",
        "DROP INDEX private_a",
        "REINDEX TABLE private",
    ] {
        assert_eq!(errors(&guest.query(sql)), ["42501"], "{sql}");
    }
}

#[test]
fn the_servers_rules_for_roles_hold_at_once() {
    let pair = pair();
    let mut admin = pair.straight();
    for (change, code) in [
        ("ALTER ROLE guest VALID UNTIL '2001-01-01'", "28P01"),
        ("ALTER ROLE guest VALID UNTIL 'infinity' NOLOGIN", "28000"),
        ("ALTER ROLE guest LOGIN PASSWORD 'changed'", "28P01"),
        ("ALTER ROLE guest PASSWORD 'welcome' CONNECTION LIMIT 0", "53300"),
    ] {
        admin.rows(change);
        assert_eq!(errors(&same_login(&pair, "guest", "welcome")), [code], "{change}");
    }
    admin.rows("ALTER ROLE guest CONNECTION LIMIT -1");
    assert_eq!(errors(&same_login(&pair, "guest", "welcome")), Vec::<String>::new());
}

#[test]
fn settings_of_the_client_do_not_reach_our_own_statements() {
    let pair = pair();
    let mut admin = pair.straight();
    // Functions and operators that would betray the caller if a name of ours were looked up in the client's path.
    admin.rows(
        "CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO PUBLIC; CREATE TABLE trap.sprung (what text); \
         CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE plpgsql AS \
         $$BEGIN INSERT INTO trap.sprung VALUES ('function'); RETURN '0'; END$$; \
         CREATE FUNCTION trap.same(oid, oid) RETURNS boolean LANGUAGE plpgsql AS \
         $$BEGIN INSERT INTO trap.sprung VALUES ('operator'); RETURN true; END$$; \
         CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.same); \
         CREATE TABLE trap.t (a int); CREATE TABLE trap.pg_class (a int)",
    );
    let mut client = Raw::connect(pair.proxy.addr());
    login(
        &mut client,
        "control",
        "secret",
        &[("search_path", "trap, pg_catalog"), ("options", "-c role=control")],
    );
    for sql in ["ALTER TABLE t ADD b int", "CREATE INDEX t_a ON t (a)", "REINDEX INDEX t_a", "DROP INDEX t_a"]
    {
        assert_eq!(errors(&client.query(sql)), Vec::<String>::new(), "{sql}");
    }
    assert!(admin.rows("SELECT what FROM trap.sprung").is_empty());
}
