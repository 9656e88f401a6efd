// SPDX-License-Identifier: MIT
//! What the engine promises, over the sockets of this host's kernel.

mod common;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use common::*;
use queue::{Config, Engine, Errno, KeepAlive, OptionName, Outcome, SocketKind, SocketOption, TcpOptions};
use rustix::time::{clock_gettime, ClockId};

#[test]
fn bytes_arrive_whole_and_in_order() {
    let mut engine = engine();
    let (client, server) = connection(&mut engine);
    // The last is more than the kernel's buffers take, so its push is done in parts.
    for length in [1, 64, 1460, 64 * 1024, 8 << 20] {
        let sent: Vec<u8> = (0..length).map(|place: usize| (place * 7 + length) as u8).collect();
        let push = engine.push(client, sent.clone(), None).unwrap();
        assert_eq!(pop_all(&mut engine, server, length), sent);
        assert!(matches!(wait(&mut engine, push).outcome, Outcome::Pushed));
    }
}

#[test]
fn pushes_that_wait_are_done_one_after_the_other() {
    let mut engine = engine();
    let (client, server) = connection(&mut engine);
    let pushes: Vec<_> = (0..3_u8).map(|byte| engine.push(client, vec![byte; 4 << 20], None).unwrap()).collect();
    assert_eq!(engine.wait(pushes[2], NOW).unwrap_err(), Errno::ETIMEDOUT);
    let got = pop_all(&mut engine, server, 12 << 20);
    assert!(got.chunks(4 << 20).zip(0..3_u8).all(|(chunk, byte)| chunk.iter().all(|&b| b == byte)));
    let mut order = Vec::new();
    while order.len() < 3 {
        engine.wait_next_n(1, LONG, |done| order.push(done.token)).unwrap();
    }
    assert_eq!(order, pushes);
}

#[test]
fn datagrams_keep_their_borders_and_their_sender() {
    let mut engine = engine();
    let (left, right) = (free_address(), free_address());
    let sockets: Vec<i32> = [left, right]
        .map(|address| {
            let qd = engine.socket(SocketKind::Datagram).unwrap();
            engine.bind(qd, address).unwrap();
            qd
        })
        .to_vec();
    for length in [1, 64, 1472, 65507] {
        let push = engine.push(sockets[0], vec![9; length], Some(right)).unwrap();
        assert!(matches!(wait(&mut engine, push).outcome, Outcome::Pushed));
        let token = engine.pop(sockets[1]).unwrap();
        let Outcome::Popped(buffer, from) = wait(&mut engine, token).outcome else { panic!("no datagram") };
        assert_eq!((buffer.len(), from), (length, Some(left)));
    }
    assert_eq!(engine.push(sockets[0], vec![1], None), Err(Errno::EDESTADDRREQ));
    let connect = engine.connect(sockets[0], right).unwrap();
    assert!(matches!(wait(&mut engine, connect).outcome, Outcome::Connected));
    engine.push(sockets[0], vec![1, 2], None).unwrap();
    assert_eq!(pop(&mut engine, sockets[1]), [1, 2]);
    let long = engine.push(sockets[0], vec![0; 65508], None).unwrap();
    assert_eq!(failure(wait(&mut engine, long)), Errno::EMSGSIZE);
}

#[test]
fn a_wait_that_does_not_spin_looks_before_its_time_is_up() {
    let mut engine = Engine::open(&Config { spin: Some(Duration::ZERO), ..Config::default() }).unwrap();
    let (client, server) = connection(&mut engine);
    let pops = [engine.pop(server).unwrap(), engine.pop(server).unwrap()];
    assert_eq!(engine.wait(pops[0], NOW).unwrap_err(), Errno::ETIMEDOUT);
    let begin = Instant::now();
    let length = Duration::from_micros(2500);
    assert_eq!(engine.wait(pops[0], Some(length)).unwrap_err(), Errno::ETIMEDOUT);
    assert!(begin.elapsed() >= length);
    for (byte, pop) in pops.into_iter().enumerate() {
        engine.push(client, vec![byte as u8], None).unwrap();
        let Outcome::Popped(buffer, _) = engine.wait(pop, NOW).unwrap().outcome else { panic!("no bytes") };
        assert_eq!(buffer.filled(), [byte as u8], "loopback delivers before the push returns");
    }
}

#[test]
fn a_peer_that_closes_is_an_empty_pop_every_time() {
    let mut engine = engine();
    let (client, server) = connection(&mut engine);
    engine.push(client, vec![5; 100], None).unwrap();
    engine.close(client).unwrap();
    assert_eq!(pop_all(&mut engine, server, 100), vec![5; 100]);
    assert!(pop(&mut engine, server).is_empty() && pop(&mut engine, server).is_empty());
}

#[test]
fn a_close_without_lingering_resets() {
    let mut engine = engine();
    let (client, server) = connection(&mut engine);
    engine.set_option(client, SocketOption::Linger(Some(Duration::ZERO))).unwrap();
    engine.close(client).unwrap();
    let token = engine.pop(server).unwrap();
    assert_eq!(failure(wait(&mut engine, token)), Errno::ECONNRESET);
}

#[test]
fn a_close_does_not_wait_however_long_it_lingers() {
    let mut engine = engine();
    let (client, server) = connection(&mut engine);
    engine.set_option(client, SocketOption::Linger(Some(Duration::from_secs(30)))).unwrap();
    let push = engine.push(client, vec![1; 1 << 20], None).unwrap();
    let _ = engine.wait(push, NOW);
    let begin = Instant::now();
    engine.close(client).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(!pop(&mut engine, server).is_empty());
}

#[test]
fn a_close_cancels_what_is_pending() {
    let mut engine = engine();
    let (client, _server) = connection(&mut engine);
    let (listening, _) = listener(&mut engine);
    let tokens = [engine.pop(client).unwrap(), engine.accept(listening).unwrap()];
    for token in tokens {
        assert_eq!(engine.wait(token, NOW).unwrap_err(), Errno::ETIMEDOUT);
    }
    engine.close(client).unwrap();
    engine.close(listening).unwrap();
    for token in tokens {
        assert_eq!(failure(engine.wait(token, NOW).unwrap()), Errno::ECANCELED);
    }
}

#[test]
fn a_refused_connection_can_be_tried_again() {
    let mut engine = engine();
    let address = free_address();
    let client = engine.socket(SocketKind::Stream).unwrap();
    for _ in 0..2 {
        let connect = engine.connect(client, address).unwrap();
        assert_eq!(failure(wait(&mut engine, connect)), Errno::ECONNREFUSED);
    }
    assert_eq!(engine.push(client, vec![1], None), Err(Errno::ENOTCONN));
    let listening = engine.socket(SocketKind::Stream).unwrap();
    engine.bind(listening, address).unwrap();
    engine.listen(listening, 0).unwrap();
    let connect = engine.connect(client, address).unwrap();
    assert!(matches!(wait(&mut engine, connect).outcome, Outcome::Connected));
    assert_eq!(engine.peer_name(client), Ok(address));
}

#[test]
fn states_allow_what_they_should() {
    let mut engine = engine();
    let (client, server) = connection(&mut engine);
    let (listening, address) = listener(&mut engine);
    let fresh = engine.socket(SocketKind::Stream).unwrap();
    assert_eq!(engine.listen(fresh, 1), Err(Errno::EDESTADDRREQ));
    assert_eq!(engine.accept(fresh), Err(Errno::EINVAL));
    assert_eq!(engine.bind(fresh, address), Err(Errno::EADDRINUSE));
    assert_eq!(engine.bind(fresh, SocketAddrV4::new([192, 0, 2, 1].into(), 80)), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(engine.pop(fresh), Err(Errno::ENOTCONN));
    assert_eq!(engine.peer_name(fresh), Err(Errno::ENOTCONN));
    assert_eq!(engine.listen(listening, 1), Err(Errno::EADDRINUSE));
    assert_eq!(engine.bind(listening, free_address()), Err(Errno::EINVAL));
    assert_eq!(engine.connect(listening, address), Err(Errno::EOPNOTSUPP));
    assert_eq!(engine.connect(client, address), Err(Errno::EISCONN));
    assert_eq!(engine.listen(server, 1), Err(Errno::EISCONN));
    assert_eq!(engine.push(client, vec![1], Some(address)), Err(Errno::EISCONN));
    let datagram = engine.socket(SocketKind::Datagram).unwrap();
    assert_eq!(engine.listen(datagram, 1), Err(Errno::EOPNOTSUPP));
    assert_eq!(engine.accept(datagram), Err(Errno::EOPNOTSUPP));
    assert_eq!(engine.pop(datagram), Err(Errno::ENOTCONN));
    assert_eq!(engine.create_pipe("p"), Err(Errno::ENOTSUP));
    // Nobody answers there (RFC 5737), so this one is connecting for a while, where there is a route at all.
    let connecting = engine.connect(fresh, SocketAddrV4::new([192, 0, 2, 1].into(), 80)).unwrap();
    if engine.wait(connecting, NOW).is_err() {
        assert_eq!(engine.connect(fresh, address), Err(Errno::EINPROGRESS));
        assert_eq!(engine.listen(fresh, 1), Err(Errno::EADDRINUSE));
    }
}

#[test]
fn two_sockets_cannot_have_one_address_but_a_server_can_start_again() {
    let mut engine = engine();
    let (listening, address) = listener(&mut engine);
    let client = engine.socket(SocketKind::Stream).unwrap();
    let accept = engine.accept(listening).unwrap();
    engine.connect(client, address).unwrap();
    let Outcome::Accepted(server, _) = wait(&mut engine, accept).outcome else { panic!("no connection") };
    // The server closes first: its address is left in TIME-WAIT.
    engine.close(server).unwrap();
    assert!(pop(&mut engine, client).is_empty());
    for qd in [client, listening] {
        engine.close(qd).unwrap();
    }
    let again = engine.socket(SocketKind::Stream).unwrap();
    engine.bind(again, address).unwrap();
    for _ in 0..2 {
        let other = engine.socket(SocketKind::Stream).unwrap();
        assert_eq!(engine.bind(other, address), Err(Errno::EADDRINUSE));
        engine.close(other).unwrap();
    }
    engine.listen(again, 1).unwrap();
}

#[test]
fn options_are_kept() {
    let mut engine = engine();
    let qd = engine.socket(SocketKind::Stream).unwrap();
    for (name, option) in [
        (OptionName::Linger, SocketOption::Linger(Some(Duration::from_secs(3)))),
        (OptionName::Linger, SocketOption::Linger(Some(Duration::ZERO))),
        (OptionName::Linger, SocketOption::Linger(None)),
        (OptionName::KeepAlive, SocketOption::KeepAlive(true)),
        (OptionName::NoDelay, SocketOption::NoDelay(true)),
    ] {
        engine.set_option(qd, option).unwrap();
        assert_eq!(engine.option(qd, name), Ok(option));
    }
    let datagram = engine.socket(SocketKind::Datagram).unwrap();
    assert!(engine.set_option(datagram, SocketOption::NoDelay(true)).is_err());
}

#[test]
fn new_streams_have_the_options_of_the_configuration() {
    let keep = KeepAlive { enabled: true, time: Some(Duration::from_millis(1500)), interval: None };
    let tcp = TcpOptions { keep_alive: Some(keep), linger: Some(Some(Duration::ZERO)), no_delay: Some(true) };
    let mut engine: Catnaps = Engine::open(&Config { tcp, ..Config::default() }).unwrap();
    let (client, server) = connection(&mut engine);
    for qd in [client, server] {
        assert_eq!(engine.option(qd, OptionName::NoDelay), Ok(SocketOption::NoDelay(true)));
        assert_eq!(engine.option(qd, OptionName::KeepAlive), Ok(SocketOption::KeepAlive(true)));
        assert_eq!(engine.option(qd, OptionName::Linger), Ok(SocketOption::Linger(Some(Duration::ZERO))));
    }
}

#[test]
fn a_wait_sleeps_until_its_time_to_the_fraction_of_a_millisecond() {
    let mut engine = engine();
    let (client, _server) = connection(&mut engine);
    let token = engine.pop(client).unwrap();
    let cpu = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let (begin, used) = (Instant::now(), cpu());
    let length = Duration::from_micros(300_500);
    assert_eq!(engine.wait(token, Some(length)).unwrap_err(), Errno::ETIMEDOUT);
    assert!(begin.elapsed() >= length);
    let used = cpu() - used;
    assert!(used < Duration::from_millis(30), "a wait of 300 ms took {used:?} of a processor");
}

#[test]
fn many_connections_at_once() {
    let mut engine = engine();
    let (listening, address) = listener(&mut engine);
    let accepts: Vec<_> = (0..200).map(|_| engine.accept(listening).unwrap()).collect();
    let clients: Vec<i32> = (0..200)
        .map(|_| {
            let qd = engine.socket(SocketKind::Stream).unwrap();
            let connect = engine.connect(qd, address).unwrap();
            assert!(matches!(wait(&mut engine, connect).outcome, Outcome::Connected));
            qd
        })
        .collect();
    let mut servers = Vec::new();
    for accept in accepts {
        let Outcome::Accepted(server, _) = wait(&mut engine, accept).outcome else { panic!("no connection") };
        servers.push(server);
    }
    for (number, &client) in clients.iter().enumerate() {
        engine.push(client, vec![number as u8; 64], None).unwrap();
    }
    let mut counts = [0; 200];
    for &server in &servers {
        counts[pop_all(&mut engine, server, 64)[0] as usize] += 1;
    }
    assert_eq!(counts, [1; 200]);
}

#[test]
fn every_thread_has_an_engine_of_its_own() {
    let threads: Vec<_> = (0..4_u8)
        .map(|number| {
            std::thread::spawn(move || {
                let mut engine = engine();
                let (client, server) = connection(&mut engine);
                for _ in 0..200 {
                    engine.push(client, vec![number; 64], None).unwrap();
                    let request = pop_all(&mut engine, server, 64);
                    engine.push(server, request, None).unwrap();
                    assert_eq!(pop_all(&mut engine, client, 64), vec![number; 64]);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut engine = engine();
    assert_eq!(engine.close(1), Err(Errno::EBADF));
}
