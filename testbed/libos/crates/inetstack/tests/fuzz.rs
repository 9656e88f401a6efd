// SPDX-License-Identifier: MIT
//! Random and bent frames into a stack with everything open: it neither panics nor stops to serve.

mod common;

use std::time::Duration;

use common::{at, clean, faulty, Net};
use proptest::prelude::*;
use queue::{IoPath, SocketKind};

/// Frames of a short conversation over TCP and UDP, with fragments, to be bent.
fn conversation() -> Vec<Vec<u8>> {
    let mut net = Net::pair(clean());
    let (mut client, mut server) = net.connected(80);
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    let mut source = net.hosts[0].socket(SocketKind::Datagram);
    let limit = Duration::from_secs(60);
    for length in [10, 3000] {
        let mut sent = 0;
        let bytes = vec![7; length];
        net.until(limit, |hosts| hosts[0].inet.poll_push(&mut client, &bytes, &mut sent, None)).unwrap();
        net.until(limit, |hosts| hosts[1].pop(&mut server)).unwrap();
        let mut sent = 0;
        net.until(limit, |hosts| hosts[0].inet.poll_push(&mut source, &bytes, &mut sent, Some(at(2, 9)))).unwrap();
        net.until(limit, |hosts| hosts[1].pop(&mut sink)).unwrap();
    }
    let _ = net.hosts[0].inet.poll_close(&mut client);
    net.run_until(net.now + Duration::from_secs(1));
    net.log.into_iter().filter(|(_, from, _)| *from == 0).map(|(_, _, frame)| frame).collect()
}

/// What is done to a frame: bytes overwritten, and its end cut off.
type Bend = (prop::sample::Index, Vec<(prop::sample::Index, u8)>, Option<prop::sample::Index>);

fn bend(frames: &[Vec<u8>], (which, changes, cut): &Bend) -> Vec<u8> {
    let mut frame = which.get(frames).clone();
    for (place, value) in changes {
        // Addresses mostly stay: a frame for others is not looked at.
        let place = 12 + place.index(frame.len() - 12);
        frame[place] = *value;
    }
    if let Some(cut) = cut {
        frame.truncate(cut.index(frame.len()));
    }
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: prop::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn bent_and_random_frames_do_no_harm(
        bends in prop::collection::vec(any::<Bend>(), 1..40),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
    ) {
        let frames = conversation();
        let mut net = Net::pair(faulty(1, 0, 0, 0, 0));
        let (mut client, mut server) = net.connected(80);
        let _sink = net.hosts[1].datagrams(at(2, 9));
        for bent in &bends {
            let frame = bend(&frames, bent);
            net.inject(1, Duration::from_micros(10), frame);
        }
        for frame in noise {
            net.inject(1, Duration::from_micros(10), frame);
        }
        net.run_until(net.now + Duration::from_secs(2));
        // A frame may have been bent into a reset of the connection; then a new one is served.
        let mut sent = 0;
        let limit = net.now + Duration::from_secs(100);
        let pushed = net.until(limit, |hosts| hosts[0].inet.poll_push(&mut client, b"alive", &mut sent, None));
        if pushed.is_ok() {
            let _ = net.until(limit, |hosts| hosts[1].pop(&mut server));
        }
        let mut other = net.hosts[0].listener(at(1, 81), 1);
        let mut back = net.hosts[1].connecting(at(1, 81));
        net.until(limit, |hosts| hosts[1].inet.poll_connect(&mut back)).unwrap();
        net.until(limit, |hosts| hosts[0].inet.poll_accept(&mut other)).unwrap();
    }
}
