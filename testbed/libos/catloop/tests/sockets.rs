// SPDX-License-Identifier: MIT
//! Stream sockets between threads and between processes.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use catloop::Catloop;
use queue::{Config, Engine, Errno, OptionName, Outcome, SocketKind, SocketOption, Token};

type Libos = Engine<Catloop, Vec<u8>>;

const LONG: Option<Duration> = Some(Duration::from_secs(30));

fn libos() -> Libos {
    Engine::open(&Config::default()).unwrap()
}

fn at(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

fn wait(libos: &mut Libos, token: Token) -> Outcome {
    libos.wait(token, LONG).unwrap().outcome
}

fn listener(libos: &mut Libos, port: u16, backlog: u32) -> i32 {
    let qd = libos.socket(SocketKind::Stream).unwrap();
    libos.bind(qd, at(port)).unwrap();
    libos.listen(qd, backlog).unwrap();
    qd
}

fn connect(libos: &mut Libos, port: u16) -> Result<i32, Errno> {
    let qd = libos.socket(SocketKind::Stream).unwrap();
    let token = libos.connect(qd, at(port)).unwrap();
    match wait(libos, token) {
        Outcome::Connected => Ok(qd),
        Outcome::Failed(errno) => Err(errno),
        other => panic!("{other:?}"),
    }
}

fn accept(libos: &mut Libos, qd: i32) -> (i32, SocketAddrV4) {
    let token = libos.accept(qd).unwrap();
    match wait(libos, token) {
        Outcome::Accepted(qd, peer) => (qd, peer),
        other => panic!("{other:?}"),
    }
}

fn push(libos: &mut Libos, qd: i32, bytes: &[u8]) -> Outcome {
    let token = libos.push(qd, bytes.to_vec(), None).unwrap();
    wait(libos, token)
}

fn pop(libos: &mut Libos, qd: i32) -> Result<Vec<u8>, Errno> {
    let token = libos.pop(qd).unwrap();
    match wait(libos, token) {
        Outcome::Popped(bytes, _) => Ok(bytes.filled().to_vec()),
        Outcome::Failed(errno) => Err(errno),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_clients_echo() {
    let mut server = libos();
    let qd = listener(&mut server, 4001, 4);
    let clients: Vec<_> = (0..16u8)
        .map(|number| {
            std::thread::spawn(move || {
                let mut libos = libos();
                let qd = connect(&mut libos, 4001).unwrap();
                for _ in 0..20 {
                    assert!(matches!(push(&mut libos, qd, &[number; 1460]), Outcome::Pushed));
                    let mut got = Vec::new();
                    while got.len() < 1460 {
                        got.extend(pop(&mut libos, qd).unwrap());
                    }
                    assert_eq!(got, [number; 1460]);
                }
                libos.close(qd).unwrap();
            })
        })
        .collect();
    let mut left = clients.len();
    server.accept(qd).unwrap();
    while left > 0 {
        let mut done = Vec::new();
        server.wait_next_n(8, LONG, |completion| done.push(completion)).unwrap();
        for completion in done {
            match completion.outcome {
                Outcome::Accepted(new, _) => {
                    server.pop(new).unwrap();
                    server.accept(qd).unwrap();
                }
                Outcome::Popped(bytes, _) if bytes.is_empty() => {
                    server.close(completion.qd).unwrap();
                    left -= 1;
                }
                Outcome::Popped(bytes, _) => {
                    server.push(completion.qd, bytes.filled().to_vec(), None).unwrap();
                    server.pop(completion.qd).unwrap();
                }
                Outcome::Pushed => {}
                other => panic!("{other:?}"),
            }
        }
    }
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn peers_know_each_other_s_names() {
    let (mut one, mut two) = (libos(), libos());
    let qd = listener(&mut one, 4002, 1);
    let client = connect(&mut two, 4002).unwrap();
    let (server, peer) = accept(&mut one, qd);
    assert_eq!(two.peer_name(client), Ok(at(4002)));
    assert_eq!(one.peer_name(server), Ok(peer));
    assert!(peer.ip().is_loopback() && peer.port() >= 49152);
    assert_eq!(one.peer_name(qd), Err(Errno::ENOTCONN));
}

#[test]
fn a_port_is_one_listener_s() {
    let (mut one, mut two) = (libos(), libos());
    let first = listener(&mut one, 4003, 1);
    let second = two.socket(SocketKind::Stream).unwrap();
    assert_eq!(two.bind(second, at(4003)), Err(Errno::EADDRINUSE));
    one.close(first).unwrap();
    assert_eq!(two.bind(second, at(4003)), Ok(()));
    let other = SocketAddrV4::new(Ipv4Addr::new(10, 9, 8, 7), 1);
    let third = two.socket(SocketKind::Stream).unwrap();
    assert_eq!(two.bind(third, other), Err(Errno::EADDRNOTAVAIL));
}

#[test]
fn nobody_there_refuses() {
    let mut one = libos();
    assert_eq!(connect(&mut one, 4004), Err(Errno::ECONNREFUSED));
    let bound = one.socket(SocketKind::Stream).unwrap();
    one.bind(bound, at(4004)).unwrap();
    assert_eq!(connect(&mut one, 4004), Err(Errno::ECONNREFUSED));
}

#[test]
fn a_full_backlog_makes_callers_wait() {
    let (mut one, mut two) = (libos(), libos());
    let qd = listener(&mut one, 4005, 1);
    connect(&mut two, 4005).unwrap();
    let late = two.socket(SocketKind::Stream).unwrap();
    let token = two.connect(late, at(4005)).unwrap();
    assert_eq!(two.wait(token, Some(Duration::from_millis(20))).err(), Some(Errno::ETIMEDOUT));
    accept(&mut one, qd);
    assert!(matches!(wait(&mut two, token), Outcome::Connected));
}

#[test]
fn closing_is_orderly_but_with_unread_bytes_or_no_linger() {
    let (mut one, mut two) = (libos(), libos());
    let qd = listener(&mut one, 4006, 8);
    for (unread, linger, expected) in
        [(false, false, Ok(vec![])), (true, false, Err(Errno::ECONNRESET)), (false, true, Err(Errno::ECONNRESET))]
    {
        let client = connect(&mut two, 4006).unwrap();
        let (server, _) = accept(&mut one, qd);
        if unread {
            assert!(matches!(push(&mut one, server, b"unread"), Outcome::Pushed));
        }
        if linger {
            two.set_option(client, SocketOption::Linger(Some(Duration::ZERO))).unwrap();
        }
        assert!(matches!(push(&mut two, client, b"bye"), Outcome::Pushed));
        two.close(client).unwrap();
        assert_eq!(pop(&mut one, server), Ok(b"bye".to_vec()));
        assert_eq!(pop(&mut one, server), expected, "unread {unread}, linger {linger}");
        one.close(server).unwrap();
    }
}

#[test]
fn what_was_sent_and_closed_before_the_accept_arrives() {
    let mut one = libos();
    let qd = listener(&mut one, 4009, 8);
    let begin = Instant::now();
    let peer = std::thread::spawn(|| {
        let mut two = libos();
        let client = connect(&mut two, 4009).unwrap();
        assert!(matches!(push(&mut two, client, b"bye"), Outcome::Pushed));
        two.close(client).unwrap();
        connect(&mut two, 4009).unwrap();
        // The engine's end waits until both were accepted.
    });
    let (server, _) = accept(&mut one, qd);
    assert_eq!((pop(&mut one, server), pop(&mut one, server)), (Ok(b"bye".to_vec()), Ok(vec![])));
    let (server, _) = accept(&mut one, qd);
    assert_eq!(pop(&mut one, server), Ok(vec![]));
    peer.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn callers_of_a_listener_that_is_closed_are_reset() {
    let (mut one, mut two) = (libos(), libos());
    let qd = listener(&mut one, 4007, 8);
    let client = connect(&mut two, 4007).unwrap();
    one.close(qd).unwrap();
    assert_eq!(pop(&mut two, client), Err(Errno::ECONNRESET));
    assert_eq!(connect(&mut two, 4007), Err(Errno::ECONNREFUSED));
}

#[test]
fn options_are_kept_and_datagrams_are_not_spoken() {
    let mut one = libos();
    let qd = one.socket(SocketKind::Stream).unwrap();
    one.set_option(qd, SocketOption::NoDelay(true)).unwrap();
    assert_eq!(one.option(qd, OptionName::NoDelay), Ok(SocketOption::NoDelay(true)));
    assert_eq!(one.option(qd, OptionName::KeepAlive), Ok(SocketOption::KeepAlive(false)));
    assert_eq!(one.socket(SocketKind::Datagram), Err(Errno::ENOTSUP));
}

/// The other process of the next test; by itself it does nothing.
#[test]
fn peer() {
    let Ok(port) = std::env::var("CATLOOP_PEER") else { return };
    let mut libos = libos();
    let qd = listener(&mut libos, port.parse().unwrap(), 8);
    let (server, _) = accept(&mut libos, qd);
    assert!(matches!(push(&mut libos, server, b"ready"), Outcome::Pushed));
    let _ = pop(&mut libos, server);
    unreachable!("killed before anything comes");
}

#[test]
fn a_server_that_is_killed_resets_accepted_and_waiting_connections() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "peer"])
        .env("CATLOOP_PEER", "4008")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut one = libos();
    let first = loop {
        match connect(&mut one, 4008) {
            Ok(qd) => break qd,
            Err(errno) => assert_eq!(errno, Errno::ECONNREFUSED),
        }
    };
    assert_eq!(pop(&mut one, first), Ok(b"ready".to_vec()));
    let second = connect(&mut one, 4008).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(pop(&mut one, first), Err(Errno::ECONNRESET));
    assert_eq!(pop(&mut one, second), Err(Errno::ECONNRESET));
    assert_eq!(connect(&mut one, 4008), Err(Errno::ECONNREFUSED));
    listener(&mut one, 4008, 1); // what the dead process left behind is taken over, and removed with us
}
