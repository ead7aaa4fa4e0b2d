//! Servers that are none, or that are broken: each is a few lines on a socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::support::eventually;
use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{
    Frame, PROTOCOL_3_0, Raw, bind, execute, framed, parse, query, startup, sync, tags,
};
use crate::wire::{errors, peak_kilobytes};

/// A server that lets everybody in, reads one message, and then says `words`.
fn server(words: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let addr = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let words = words.clone();
            thread::spawn(move || serve(socket, &words));
        }
    });
    addr
}

/// Ends with the client's end, whatever goes wrong.
fn serve(mut socket: TcpStream, words: &[u8]) {
    let mut chunk = [0; 4096];
    let Ok(1..) = socket.read(&mut chunk) else { return };
    if chunk[4..8] == 80_877_103_i32.to_be_bytes() {
        let _ = socket.write_all(b"N");
        let Ok(1..) = socket.read(&mut chunk) else { return };
    }
    let _ = socket.write_all(&hello());
    let Ok(1..) = socket.read(&mut chunk) else { return };
    let _ = socket.write_all(words);
    while let Ok(1..) = socket.read(&mut chunk) {}
}

fn hello() -> Vec<u8> {
    let parameter = framed(b'S', b"server_version\x0015.0\0");
    [framed(b'R', &0_i32.to_be_bytes()), parameter, framed(b'K', &[0; 8]), framed(b'Z', b"I")].concat()
}

fn proxy(words: Vec<u8>) -> Proxy {
    Setup::new(&server(words)).config("[control]").config("enabled = false").start()
}

/// A whole session: what it heard after its one query.
fn answer(proxy: &Proxy) -> Vec<Frame> {
    let mut client = Raw::session(proxy.addr());
    client.send(&query("SELECT 1"));
    client.half_close();
    client.until_end()
}

#[test]
fn impossible_lengths_from_the_server_end_the_session() {
    let lengths = [0_u32, 3, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    for (length, kind) in lengths.into_iter().zip(*b"TDEZS?") {
        let broken = [framed(b'1', b""), [&[kind], &length.to_be_bytes()[..]].concat()].concat();
        let proxy = proxy(broken);
        let before = peak_kilobytes(&proxy);
        let mut client = Raw::session(proxy.addr());
        client.send(&query("SELECT 1"));
        let heard = client.until_end();
        assert_eq!(errors(&heard), ["08P01"], "{length:#x}: {heard:?}");
        let grown = peak_kilobytes(&proxy) - before;
        assert!(grown < 4 << 10, "the proxy has grown by {grown} kB");
    }
}

#[test]
fn errors_without_form_pass_or_end_the_session() {
    let forms: [&[u8]; 7] = [
        b"",
        b"\0",
        b"Mno code\0\0",
        b"SERROR\0C12345\0Mno end",
        b"SERROR\0C1\0Mshort code\0\0",
        b"SERROR\0CXX000\0Mwith an unknown field\0?what\0\0",
        b"SFATAL\0VFATAL\0C57P01\0Mgone\0\0",
    ];
    for form in forms {
        let words = [framed(b'E', form), framed(b'Z', b"I")].concat();
        let heard = answer(&proxy(words));
        assert_eq!(heard.first().map(|frame| frame.body.as_slice()), Some(form), "{heard:?}");
    }
}

#[test]
fn messages_that_nobody_knows_pass() {
    let words =
        [framed(b'?', b"new"), framed(b'Z', b"Q"), framed(b'Z', b""), framed(b'S', b"x"), framed(b'C', b"")];
    let heard = answer(&proxy(words.concat()));
    assert_eq!(tags(&heard), "?ZZSC");
}

#[test]
fn a_server_that_breaks_off_is_told_of() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let addr = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut chunk = [0; 4096];
            let _ = socket.read(&mut chunk);
            if chunk[4..8] == 80_877_103_i32.to_be_bytes() {
                let _ = socket.write_all(b"N");
                let _ = socket.read(&mut chunk);
            }
            let _ = socket.write_all(&hello());
            let _ = socket.read(&mut chunk);
            // In the middle of a row.
            let _ =
                socket.write_all(&[framed(b'T', &[0, 0]), framed(b'D', &[0; 100])[..50].to_vec()].concat());
        }
    });
    let proxy = Setup::new(&addr).config("[control]").config("enabled = false").start();
    let mut client = TcpStream::connect(proxy.addr()).expect("connect");
    let login = startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]);
    client.write_all(&[login, query("SELECT 1")].concat()).expect("send");
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).expect("read");
    // No message can be put into the middle of another: only the end is passed on.
    assert_eq!(heard[heard.len() - 50..], framed(b'D', &[0; 100])[..50]);
    eventually("it is logged", || proxy.log().contains("session broke").then_some(()));
}

/// Its last words may come where an error of another kind was asked for.
#[test]
fn what_a_server_says_last_is_passed_on_also_in_our_own_business() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let addr = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || take_part(&mut socket));
        }
    });
    let proxy = Setup::new(&addr).config("[control]").config("enabled = false").start();
    let mut client = Raw::session(proxy.addr());
    client.send(
        &[parse("", "SET lockkeeper.mood = 'bad'"), bind("", "", &[]), execute("", 0), sync()].concat(),
    );
    let heard = client.until_end();
    assert_eq!(
        (tags(&heard).as_str(), errors(&heard)),
        ("12EE", vec!["42704".to_owned(), "57P01".to_owned()])
    );
}

/// Answers the extended protocol; an Execute is its end.
fn take_part(socket: &mut TcpStream) -> Option<()> {
    let mut chunk = [0; 4096];
    let Ok(1..) = socket.read(&mut chunk) else { return None };
    socket.write_all(&hello()).ok()?;
    loop {
        let mut header = [0; 5];
        socket.read_exact(&mut header).ok()?;
        let length = u32::from_be_bytes(header[1..].try_into().expect("four bytes"));
        socket.read_exact(&mut chunk[..length as usize - 4]).ok()?;
        let answer = match header[0] {
            b'P' => framed(b'1', b""),
            b'B' => framed(b'2', b""),
            b'D' => framed(b'n', b""),
            b'E' => framed(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"),
            _ => Vec::new(),
        };
        socket.write_all(&answer).ok()?;
        if header[0] == b'E' {
            return None;
        }
    }
}
