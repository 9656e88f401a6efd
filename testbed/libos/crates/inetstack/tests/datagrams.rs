// SPDX-License-Identifier: MIT
//! UDP between two stacks.

mod common;

use std::task::Poll;
use std::time::{Duration, Instant};

use common::{at, clean, config, faulty, Net};
use queue::{Config, Errno, IoPath, SocketKind};

const LONG: Duration = Duration::from_secs(600);

#[test]
fn datagrams_keep_their_borders_up_to_the_longest() {
    let mut net = Net::pair(clean());
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut source = net.hosts[0].datagrams(at(1, 1000));
    for length in [1, 1472, 1473, 4000, 65507] {
        let data: Vec<u8> = (0..length).map(|number: usize| number.to_le_bytes()[0]).collect();
        let mut sent = 0;
        net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut source, &data, &mut sent, Some(at(2, 9)))).unwrap();
        assert_eq!(sent, length);
        let (seen, from) = net.until(LONG, |hosts| hosts[1].pop(&mut sink)).unwrap();
        assert!(seen == data && from == Some(at(1, 1000)), "{length}");
    }
    let longest = net.log.iter().map(|(_, _, frame)| frame.len()).max();
    assert_eq!(longest, Some(1514));
    let mut sent = 0;
    let too_long = vec![0; 65508];
    let result = net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut source, &too_long, &mut sent, Some(at(2, 9))));
    assert_eq!((result, sent), (Err(Errno::EMSGSIZE), 0));
}

#[test]
fn fragments_that_come_out_of_order_are_put_together_and_incomplete_ones_dropped() {
    let mut net = Net::pair(faulty(3, 20, 20, 500, 0));
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut source = net.hosts[0].datagrams(at(1, 1000));
    let mut whole = 0;
    for number in 0..50_u8 {
        let data = vec![number; 6000];
        let mut sent = 0;
        net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut source, &data, &mut sent, Some(at(2, 9)))).unwrap();
        net.run_until(net.now + Duration::from_secs(1));
        while let Poll::Ready(result) = net.hosts[1].pop(&mut sink) {
            let (seen, _) = result.unwrap();
            assert!(seen.len() == 6000 && seen.iter().all(|byte| *byte == seen[0]));
            whole += 1;
        }
    }
    assert!((30..50).contains(&whole), "{whole} of 50");
}

#[test]
fn a_close_waits_for_the_neighbour() {
    let mut net = Net::pair(clean());
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut source = net.hosts[0].socket(SocketKind::Datagram);
    let mut sent = 0;
    assert_eq!(net.hosts[0].inet.poll_push(&mut source, b"last", &mut sent, Some(at(2, 9))), Poll::Ready(Ok(())));
    assert_eq!(net.hosts[0].inet.poll_close(&mut source), Poll::Pending);
    net.until(LONG, |hosts| hosts[0].inet.poll_close(&mut source)).unwrap();
    let (seen, _) = net.until(LONG, |hosts| hosts[1].pop(&mut sink)).unwrap();
    assert_eq!(seen, b"last");
    // Nobody is there: it waits until that is sure.
    let mut lost = net.hosts[0].socket(SocketKind::Datagram);
    let _ = net.hosts[0].inet.poll_push(&mut lost, b"lost", &mut sent, Some(at(77, 9)));
    let begin = net.now;
    net.until(LONG, |hosts| hosts[0].inet.poll_close(&mut lost)).unwrap();
    assert_eq!((net.now - begin).as_secs(), 6);
}

#[test]
fn what_is_pushed_before_the_neighbour_is_known_is_not_lost() {
    let mut net = Net::pair(clean());
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut source = net.hosts[0].socket(SocketKind::Datagram);
    for number in 0..64_u8 {
        let mut sent = 0;
        let polled = net.hosts[0].inet.poll_push(&mut source, &[number; 64], &mut sent, Some(at(2, 9)));
        assert_eq!(polled, Poll::Ready(Ok(())));
    }
    for number in 0..64_u8 {
        assert_eq!(net.until(LONG, |hosts| hosts[1].pop(&mut sink)).unwrap().0, [number; 64]);
    }
}

#[test]
fn a_connected_socket_hears_its_peer_only_and_of_its_refusal() {
    let mut net = Net::pair(clean());
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    net.hosts[1].inet.connect(&mut sink, at(1, 1000)).unwrap();
    assert_eq!(net.hosts[1].inet.peer_name(&mut sink), Ok(at(1, 1000)));
    let mut stranger = net.hosts[0].datagrams(at(1, 999));
    let mut peer = net.hosts[0].datagrams(at(1, 1000));
    for (source, bytes) in [(&mut stranger, &b"hi"[..]), (&mut peer, b"hello")] {
        let mut sent = 0;
        net.until(LONG, |hosts| hosts[0].inet.poll_push(source, bytes, &mut sent, Some(at(2, 9)))).unwrap();
    }
    net.run_until(net.now + Duration::from_secs(1));
    assert_eq!(net.hosts[1].pop(&mut sink), Poll::Ready(Ok((b"hello".to_vec(), Some(at(1, 1000))))));
    net.run_until(net.now + Duration::from_secs(1));
    assert!(net.hosts[1].pop(&mut sink).is_pending());
    drop(peer);
    let mut sent = 0;
    net.until(LONG, |hosts| hosts[1].inet.poll_push(&mut sink, b"gone?", &mut sent, None)).unwrap();
    assert_eq!(net.until(LONG, |hosts| hosts[1].pop(&mut sink)), Err(Errno::ECONNREFUSED));
}

#[test]
fn a_socket_that_was_never_bound_hears_the_answer() {
    let mut net = Net::pair(clean());
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut source = net.hosts[0].socket(SocketKind::Datagram);
    let mut sent = 0;
    net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut source, b"ping", &mut sent, Some(at(2, 9)))).unwrap();
    let (_, from) = net.until(LONG, |hosts| hosts[1].pop(&mut sink)).unwrap();
    let mut sent = 0;
    net.until(LONG, |hosts| hosts[1].inet.poll_push(&mut sink, b"pong", &mut sent, from)).unwrap();
    assert_eq!(net.until(LONG, |hosts| hosts[0].pop(&mut source)).unwrap(), (b"pong".to_vec(), Some(at(2, 9))));
}

#[test]
fn destinations_that_cannot_be_are_refused() {
    let mut net = Net::pair(clean());
    let mut source = net.hosts[0].socket(SocketKind::Datagram);
    for (to, errno) in [
        (None, Errno::EDESTADDRREQ),
        (Some("10.0.0.2:0"), Errno::EINVAL),
        (Some("0.0.0.0:9"), Errno::EINVAL),
        (Some("255.255.255.255:9"), Errno::EACCES),
        (Some("192.0.2.1:9"), Errno::ENETUNREACH),
    ] {
        let mut sent = 0;
        let to = to.map(|to| to.parse().unwrap());
        let polled = net.hosts[0].inet.poll_push(&mut source, b"x", &mut sent, to);
        assert_eq!(polled, Poll::Ready(Err(errno)), "{to:?}");
    }
}

/// Sends datagrams of these lengths without a poll in between, each filled with its number, and pops them all in order.
fn in_order(net: &mut Net, lengths: &[usize]) {
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut source = net.hosts[0].datagrams(at(1, 1000));
    for (number, &length) in lengths.iter().enumerate() {
        let mut sent = 0;
        let bytes = vec![number.to_le_bytes()[0]; length];
        let polled = net.hosts[0].inet.poll_push(&mut source, &bytes, &mut sent, Some(at(2, 9)));
        assert_eq!(polled, Poll::Ready(Ok(())));
    }
    for (number, &length) in lengths.iter().enumerate() {
        let (seen, from) = net.until(LONG, |hosts| hosts[1].pop(&mut sink)).unwrap();
        assert!(seen == vec![number.to_le_bytes()[0]; length] && from == Some(at(1, 1000)), "{number}");
    }
}

#[test]
fn whole_datagrams_do_not_overtake_those_in_fragments() {
    let mut net = Net::pair(clean());
    // The second time the neighbour is known, and whole ones could go at once.
    in_order(&mut net, &[3000, 10, 3000, 0x40, 1472, 1473, 1]);
    in_order(&mut net, &[3000, 10, 3000, 0x40, 1472, 1473, 1]);
}

#[test]
fn what_the_device_has_no_room_for_waits_its_turn() {
    let mut net = Net::pair(clean());
    in_order(&mut net, &[1]);
    in_order(&mut net, &[64; 700]);
}

#[test]
fn a_datagram_to_a_known_neighbour_is_with_the_device_at_once_but_not_in_virtual_time() {
    for (spin, at_once) in [(None, 1), (Some(Duration::ZERO), 0)] {
        let mut net = Net::new(&[Config { spin, ..config(1) }, config(2)], clean());
        in_order(&mut net, &[1]);
        let mut source = net.hosts[0].socket(SocketKind::Datagram);
        let mut sent = 0;
        let mut push = |net: &mut Net| {
            let polled = net.hosts[0].inet.poll_push(&mut source, b"ping", &mut sent, Some(at(2, 9)));
            assert_eq!(polled, Poll::Ready(Ok(())));
            net.hosts[0].outward.borrow().len()
        };
        assert_eq!(push(&mut net), at_once, "{spin:?}");
        assert_eq!(net.hosts[0].inet.stack().deadline(), Some(Duration::ZERO), "it asks to be polled");
        net.settle();
        assert_eq!(net.log.last().unwrap().2.len(), 14 + 28 + 4);
        // The neighbour's address is too old: it is asked for first.
        net.run_until(net.now + LONG);
        net.settle();
        assert_eq!(push(&mut net), 0, "{spin:?}");
        net.settle();
        assert_eq!(net.log.last().unwrap().2[12..14], [0x08, 0x06]);
    }
}

#[test]
fn an_address_grows_too_old_also_where_nobody_polls() {
    let mut config = config(1);
    config.inet.arp_ttl = Duration::from_millis(50);
    let mut net = Net::new(&[config, common::config(2)], clean());
    in_order(&mut net, &[1]);
    let mut source = net.hosts[0].socket(SocketKind::Datagram);
    // The clock of the machine, not the network's; how long it takes is all the same.
    let begin = Instant::now();
    loop {
        let mut sent = 0;
        let polled = net.hosts[0].inet.poll_push(&mut source, b"ping", &mut sent, Some(at(2, 9)));
        assert_eq!(polled, Poll::Ready(Ok(())));
        if net.hosts[0].outward.borrow_mut().pop_back().is_none() {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "it is believed for ever");
    }
}

#[test]
fn a_datagram_for_another_address_of_the_same_port_is_not_heard() {
    let mut net = Net::pair(clean());
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut deaf = net.hosts[1].datagrams("127.0.0.1:10".parse().unwrap());
    let mut source = net.hosts[0].datagrams(at(1, 1000));
    for port in [10, 9] {
        let mut sent = 0;
        net.until(LONG, |hosts| hosts[0].inet.poll_push(&mut source, b"hello", &mut sent, Some(at(2, port)))).unwrap();
    }
    assert_eq!(net.until(LONG, |hosts| hosts[1].pop(&mut sink)).unwrap().0, b"hello");
    assert!(net.hosts[1].pop(&mut deaf).is_pending());
}
