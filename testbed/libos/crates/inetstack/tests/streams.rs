// SPDX-License-Identifier: MIT
//! TCP between two stacks: bytes, ends, errors, over clean and faulty wires.

mod common;

use std::task::Poll;
use std::time::Duration;

use common::{at, clean, config, faulty, ip, Net, Random};
use inetstack::Endpoint;
use queue::{Errno, IoPath, SocketKind, SocketOption};

const LONG: Duration = Duration::from_secs(7200);

fn bytes(count: usize) -> Vec<u8> {
    let mut random = Random(7);
    (0..count).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// Sends `data` from host `from` to the other one and closes; gives what arrived.
fn transfer(net: &mut Net, from: usize, mut source: Endpoint, sink: &mut Endpoint, data: &[u8]) -> Vec<u8> {
    let mut sent = 0;
    let mut seen = Vec::new();
    let mut pushed = false;
    let mut closed = false;
    net.until(LONG, |hosts| {
        if !pushed {
            if let Poll::Ready(result) = hosts[from].inet.poll_push(&mut source, data, &mut sent, None) {
                result.unwrap();
                pushed = true;
            }
        } else if !closed {
            if let Poll::Ready(result) = hosts[from].inet.poll_close(&mut source) {
                result.unwrap();
                closed = true;
            }
        }
        while let Poll::Ready(result) = hosts[1 - from].pop(sink) {
            let (piece, _) = result.unwrap();
            if piece.is_empty() {
                return Poll::Ready(());
            }
            seen.extend(piece);
        }
        Poll::Pending
    });
    seen
}

#[test]
fn bytes_arrive_in_order_and_then_the_end() {
    let mut net = Net::pair(clean());
    let (client, mut server) = net.connected(80);
    let data = bytes(3 << 20);
    assert!(transfer(&mut net, 0, client, &mut server, &data) == data);
}

#[test]
fn bytes_are_exact_over_any_wire_that_lets_some_pass() {
    for (seed, loss, duplicate, reorder, corrupt) in
        [(1, 10, 0, 0, 0), (2, 50, 20, 100, 0), (3, 200, 0, 0, 0), (4, 0, 0, 0, 50), (5, 100, 100, 300, 20)]
    {
        let mut net = Net::pair(faulty(seed, loss, duplicate, reorder, corrupt));
        let (client, mut server) = net.connected(80);
        let data = bytes(200_000);
        assert!(transfer(&mut net, 0, client, &mut server, &data) == data, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_frames_at_the_same_times() {
    let run = || {
        let mut net = Net::pair(faulty(9, 50, 20, 100, 10));
        let (client, mut server) = net.connected(80);
        transfer(&mut net, 0, client, &mut server, &bytes(100_000));
        net.log
    };
    assert!(run() == run());
}

#[test]
fn the_other_half_stays_open_after_a_close_of_one() {
    let mut net = Net::pair(clean());
    let (mut client, mut server) = net.connected(80);
    net.until(LONG, |hosts| {
        let _ = hosts[0].inet.poll_close(&mut client);
        hosts[1].pop(&mut server).map(|result| assert!(result.unwrap().0.is_empty()))
    });
    let mut sent = 0;
    net.until(LONG, |hosts| hosts[1].inet.poll_push(&mut server, b"still here", &mut sent, None)).unwrap();
    let (seen, _) = net.until(LONG, |hosts| hosts[0].pop(&mut client)).unwrap();
    assert_eq!(seen, b"still here");
}

#[test]
fn a_port_where_nobody_listens_refuses() {
    let mut net = Net::pair(clean());
    let mut client = net.hosts[0].connecting(at(2, 81));
    let result = net.until(LONG, |hosts| hosts[0].inet.poll_connect(&mut client));
    assert_eq!(result, Err(Errno::ECONNREFUSED));
}

#[test]
fn an_attempt_may_be_made_again_after_it_was_refused() {
    let mut net = Net::pair(clean());
    let mut client = net.hosts[0].connecting(at(2, 80));
    net.until(LONG, |hosts| hosts[0].inet.poll_connect(&mut client)).unwrap_err();
    let _listener = net.hosts[1].listener(at(2, 80), 1);
    net.hosts[0].inet.connect(&mut client, at(2, 80)).unwrap();
    net.until(LONG, |hosts| hosts[0].inet.poll_connect(&mut client)).unwrap();
}

#[test]
fn a_host_that_does_not_exist_is_unreachable_after_all_arp_requests() {
    let mut net = Net::pair(clean());
    let mut client = net.hosts[0].connecting(at(99, 80));
    let result = net.until(LONG, |hosts| hosts[0].inet.poll_connect(&mut client));
    assert_eq!((result, net.now), (Err(Errno::EHOSTUNREACH), Duration::from_secs(6)));
    assert_eq!(net.log.len(), 6);
}

#[test]
fn a_network_without_a_route_is_unreachable_at_once() {
    let mut net = Net::pair(clean());
    let mut client = net.hosts[0].socket(SocketKind::Stream);
    let far = "192.0.2.1:80".parse().unwrap();
    assert_eq!(net.hosts[0].inet.connect(&mut client, far), Err(Errno::ENETUNREACH));
}

#[test]
fn a_peer_that_never_answers_a_syn_times_the_attempt_out() {
    let mut settings = config(1);
    settings.inet.arp_table = vec![(ip(2), common::mac(2))];
    let mut net = Net::new(&[settings], clean());
    let mut client = net.hosts[0].connecting(at(2, 80));
    let result = net.until(LONG, |hosts| hosts[0].inet.poll_connect(&mut client));
    assert_eq!((result, net.now), (Err(Errno::ETIMEDOUT), Duration::from_secs(127)));
    // And no reset to whom nothing reaches.
    let times: Vec<u64> = net.log.iter().map(|(at, _, _)| at.as_secs()).collect();
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123]);
}

#[test]
fn a_peer_that_falls_silent_times_the_connection_out() {
    let mut net = Net::pair(clean());
    let (mut client, _server) = net.connected(80);
    net.rule = Box::new(|_, _, _| Vec::new());
    let cut = net.now;
    let mut sent = 0;
    net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut client, b"anybody?", &mut sent, None)).unwrap();
    let result = net.until(LONG, |hosts| hosts[0].pop(&mut client));
    assert_eq!(result, Err(Errno::ETIMEDOUT));
    assert_eq!((net.now - cut).as_secs(), 924);
}

#[test]
fn a_silent_connection_lasts_and_keep_alive_finds_a_dead_peer() {
    let mut net = Net::pair(clean());
    let (mut client, mut server) = net.connected(80);
    net.run_until(Duration::from_secs(100_000));
    assert!(net.hosts[0].pop(&mut client).is_pending());
    net.hosts[0].inet.set_option(&mut client, SocketOption::KeepAlive(true)).unwrap();
    net.run_until(Duration::from_secs(200_000));
    assert!(net.hosts[0].pop(&mut client).is_pending());
    assert!(net.hosts[1].pop(&mut server).is_pending());
    net.rule = Box::new(|_, _, _| Vec::new());
    let end = net.now + Duration::from_secs(20_000);
    let result = net.until(end, |hosts| hosts[0].pop(&mut client));
    assert_eq!(result, Err(Errno::ETIMEDOUT));
}

#[test]
fn a_dropped_connection_resets_its_peer() {
    let mut net = Net::pair(clean());
    let (client, mut server) = net.connected(80);
    drop(client);
    let result = net.until(LONG, |hosts| hosts[1].pop(&mut server));
    assert_eq!(result, Err(Errno::ECONNRESET));
    let mut sent = 0;
    let result = net.until(LONG, |hosts| hosts[1].inet.poll_push(&mut server, b"x", &mut sent, None));
    assert_eq!(result, Err(Errno::ECONNRESET));
}

#[test]
fn a_linger_of_nothing_resets_and_bytes_that_came_before_are_still_there() {
    let mut net = Net::pair(clean());
    let (mut client, mut server) = net.connected(80);
    let mut sent = 0;
    net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut client, b"last words", &mut sent, None)).unwrap();
    net.run_until(net.now + Duration::from_secs(1));
    net.hosts[0].inet.set_option(&mut client, SocketOption::Linger(Some(Duration::ZERO))).unwrap();
    net.until(LONG, |hosts| hosts[0].inet.poll_close(&mut client)).unwrap();
    drop(client);
    net.run_until(net.now + Duration::from_secs(1));
    assert_eq!(net.until(LONG, |hosts| hosts[1].pop(&mut server)).unwrap().0, b"last words");
    assert_eq!(net.until(LONG, |hosts| hosts[1].pop(&mut server)), Err(Errno::ECONNRESET));
}

#[test]
fn a_close_with_unread_bytes_resets() {
    let mut net = Net::pair(clean());
    let (mut client, mut server) = net.connected(80);
    let mut sent = 0;
    net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut client, b"unread", &mut sent, None)).unwrap();
    net.run_until(net.now + Duration::from_secs(1));
    net.until(LONG, |hosts| hosts[1].inet.poll_close(&mut server)).unwrap();
    assert_eq!(net.until(LONG, |hosts| hosts[0].pop(&mut client)), Err(Errno::ECONNRESET));
}

#[test]
fn what_comes_after_a_close_resets() {
    let mut net = Net::pair(clean());
    let (mut client, mut server) = net.connected(80);
    net.until(LONG, |hosts| hosts[0].inet.poll_close(&mut client).map(Result::unwrap));
    drop(client);
    for _ in 0..2 {
        let mut sent = 0;
        let pushed = net.until(LONG, |hosts| hosts[1].inet.poll_push(&mut server, b"late", &mut sent, None));
        net.run_until(net.now + Duration::from_secs(1));
        if pushed.is_err() {
            assert_eq!(pushed, Err(Errno::ECONNRESET));
            return;
        }
    }
    panic!("nothing said that nobody reads");
}

#[test]
fn a_close_waits_for_the_linger_time_and_no_longer() {
    let mut net = Net::pair(clean());
    let (mut client, _server) = net.connected(80);
    net.hosts[0].inet.set_option(&mut client, SocketOption::Linger(Some(Duration::from_secs(3)))).unwrap();
    net.rule = Box::new(|_, _, _| Vec::new());
    let cut = net.now;
    let result = net.until(LONG, |hosts| hosts[0].inet.poll_close(&mut client));
    assert!(result.is_err());
    let waited = (net.now - cut).as_millis();
    assert!((3000..3100).contains(&waited), "{waited} ms");
}

#[test]
fn both_may_close_at_once() {
    let mut net = Net::pair(clean());
    let (mut client, mut server) = net.connected(80);
    let mut done = [false; 2];
    net.until(LONG, |hosts| {
        done[0] |= hosts[0].inet.poll_close(&mut client).is_ready();
        done[1] |= hosts[1].inet.poll_close(&mut server).is_ready();
        if done == [true; 2] {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    drop((client, server));
    // TIME-WAIT passes, and nothing is left.
    net.run_until(net.now + Duration::from_secs(120));
    assert!(!net.advance());
}

#[test]
fn a_full_backlog_lets_wait_and_serves_all_in_the_end() {
    let mut net = Net::pair(clean());
    let mut listener = net.hosts[1].listener(at(2, 80), 2);
    let mut clients: Vec<Endpoint> = (0..5).map(|_| net.hosts[0].connecting(at(2, 80))).collect();
    net.run_until(Duration::from_millis(500));
    let polled = clients.iter_mut().map(|client| net.hosts[0].inet.poll_connect(client));
    let standing = polled.filter(Poll::is_ready).count();
    assert_eq!(standing, 2);
    let mut accepted = Vec::new();
    net.until(LONG, |hosts| {
        if let Poll::Ready(result) = hosts[1].inet.poll_accept(&mut listener) {
            accepted.push(result.unwrap());
        }
        if accepted.len() == 5 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    let mut ports: Vec<u16> = accepted.iter().map(|(_, from)| from.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 5);
}

#[test]
fn a_closed_listener_resets_what_it_did_not_accept_and_frees_its_port() {
    let mut net = Net::pair(clean());
    let listener = net.hosts[1].listener(at(2, 80), 2);
    let mut client = net.hosts[0].connecting(at(2, 80));
    net.until(LONG, |hosts| hosts[0].inet.poll_connect(&mut client)).unwrap();
    drop(listener);
    assert_eq!(net.until(LONG, |hosts| hosts[0].pop(&mut client)), Err(Errno::ECONNRESET));
    let _again = net.hosts[1].listener(at(2, 80), 2);
}

#[test]
fn a_port_is_bound_once_and_only_at_our_own_addresses() {
    let mut net = Net::pair(clean());
    let _listener = net.hosts[0].listener(at(1, 80), 1);
    let mut second = net.hosts[0].socket(SocketKind::Stream);
    assert_eq!(net.hosts[0].inet.bind(&mut second, at(1, 80)), Err(Errno::EADDRINUSE));
    assert_eq!(net.hosts[0].inet.bind(&mut second, at(2, 81)), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(net.hosts[0].inet.listen(&mut second, 1), Err(Errno::EDESTADDRREQ));
}

#[test]
fn a_host_talks_to_itself() {
    let mut net = Net::new(&[config(1)], clean());
    for address in [at(1, 80), "127.0.0.1:81".parse().unwrap()] {
        let mut listener = net.hosts[0].listener(address, 1);
        let mut client = net.hosts[0].connecting(address);
        net.until(LONG, |hosts| hosts[0].inet.poll_connect(&mut client)).unwrap();
        let (mut server, _) = net.until(LONG, |hosts| hosts[0].inet.poll_accept(&mut listener)).unwrap();
        let mut sent = 0;
        net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut client, b"me", &mut sent, None)).unwrap();
        assert_eq!(net.until(LONG, |hosts| hosts[0].pop(&mut server)).unwrap().0, b"me");
    }
    assert!(net.log.is_empty());
}

#[test]
fn no_segment_is_longer_than_either_side_s_mss() {
    for (ours, theirs) in [(Some(536), None), (None, Some(700))] {
        let mut settings = [config(1), config(2)];
        settings[0].inet.mss = ours;
        settings[1].inet.mss = theirs;
        let mut net = Net::new(&settings, clean());
        let (client, mut server) = net.connected(80);
        let data = bytes(100_000);
        assert!(transfer(&mut net, 0, client, &mut server, &data) == data);
        let longest = net.log.iter().map(|(_, _, frame)| frame.len().saturating_sub(14 + 40)).max();
        assert_eq!(longest, ours.or(theirs));
    }
}

#[test]
fn megabytes_pass_a_lossy_wire_without_long_silence() {
    for seed in 0..6 {
        let mut net = Net::pair(faulty(seed, 20, 0, 0, 0));
        let (client, mut server) = net.connected(80);
        let data = bytes(4 << 20);
        let start = net.now;
        assert!(transfer(&mut net, 0, client, &mut server, &data) == data, "seed {seed}");
        let arrivals: Vec<Duration> = net.log.iter().filter(|(_, from, _)| *from == 0).map(|(at, _, _)| *at).collect();
        let silence = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(silence < Some(Duration::from_secs(10)), "seed {seed}: {silence:?}");
        assert!(net.now - start < Duration::from_secs(200), "seed {seed}: {:?}", net.now - start);
    }
}

#[test]
fn a_stack_that_ends_resets_what_its_peers_wait_for() {
    let mut net = Net::pair(clean());
    let (client, mut server) = net.connected(80);
    let gone = net.hosts.remove(0);
    drop((client, gone.inet));
    for frame in gone.outward.borrow_mut().drain(..) {
        net.inject(0, Duration::ZERO, frame);
    }
    net.settle();
    assert_eq!(net.hosts[0].pop(&mut server), Poll::Ready(Err(Errno::ECONNRESET)));
}
