// SPDX-License-Identifier: MIT
//! Engines over the loopback interface.
#![allow(dead_code)] // each test file uses its part

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::time::Duration;

use catnap::Catnap;
use queue::{Completion, Config, Engine, Errno, Outcome, SocketKind, Token};

pub type Catnaps = Engine<Catnap, Vec<u8>>;

/// No step of these tests takes nearly as long.
pub const LONG: Option<Duration> = Some(Duration::from_secs(20));
pub const NOW: Option<Duration> = Some(Duration::ZERO);

pub fn engine() -> Catnaps {
    Engine::open(&Config::default()).unwrap()
}

/// An address that nobody has: Linux gives no port twice in a row.
pub fn free_address() -> SocketAddrV4 {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

pub fn listener(engine: &mut Catnaps) -> (i32, SocketAddrV4) {
    let address = free_address();
    let qd = engine.socket(SocketKind::Stream).unwrap();
    engine.bind(qd, address).unwrap();
    engine.listen(qd, 16).unwrap();
    (qd, address)
}

pub fn wait(engine: &mut Catnaps, token: Token) -> Completion {
    engine.wait(token, LONG).unwrap()
}

pub fn failure(done: Completion) -> Errno {
    match done.outcome {
        Outcome::Failed(errno) => errno,
        other => panic!("no failure but {other:?}"),
    }
}

/// Both ends of a connection in one engine: the client's, the server's.
pub fn connection(engine: &mut Catnaps) -> (i32, i32) {
    let (listening, address) = listener(engine);
    let client = engine.socket(SocketKind::Stream).unwrap();
    let accept = engine.accept(listening).unwrap();
    let connect = engine.connect(client, address).unwrap();
    assert!(matches!(wait(engine, connect).outcome, Outcome::Connected));
    let Outcome::Accepted(server, peer) = wait(engine, accept).outcome else { panic!("no connection") };
    assert_eq!(peer.ip(), &Ipv4Addr::LOCALHOST);
    engine.close(listening).unwrap();
    (client, server)
}

/// Pop once; nothing is the end.
pub fn pop(engine: &mut Catnaps, qd: i32) -> Vec<u8> {
    let token = engine.pop(qd).unwrap();
    match wait(engine, token).outcome {
        Outcome::Popped(buffer, _) => {
            let bytes = buffer.filled().to_vec();
            engine.pool().give(buffer);
            bytes
        }
        other => panic!("no bytes but {other:?}"),
    }
}

/// Pop until there are so many bytes.
pub fn pop_all(engine: &mut Catnaps, qd: i32, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let more = pop(engine, qd);
        assert!(!more.is_empty(), "the end after {} of {length} bytes", bytes.len());
        bytes.extend(more);
    }
    bytes
}
