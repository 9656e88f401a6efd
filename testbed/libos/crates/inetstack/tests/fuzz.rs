// SPDX-License-Identifier: MIT
//! Random and bent frames into a stack with everything open: it neither panics nor stops to serve.
//!
//! Cases and seed are fixed; `TESTBED_FUZZ_CASES` and `TESTBED_FUZZ_SEED` make another run of it, longer or elsewhere. The seeds of failures
//! are kept beside this file, and tried first from then on.

mod common;

use std::time::Duration;

use common::{at, clean, faulty, ip, mac, Net};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use queue::{IoPath, SocketKind};

const ETHERNET: usize = 14;
const ARP: u16 = 0x0806;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, no number")))
}

fn settings(cases: u64) -> ProptestConfig {
    ProptestConfig {
        cases: number("TESTBED_FUZZ_CASES", cases).try_into().unwrap(),
        rng_seed: RngSeed::Fixed(number("TESTBED_FUZZ_SEED", 1)),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

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

/// One field of a frame that is changed; what it belongs to stays whole, and checksums are right again afterwards.
#[derive(Clone, Debug)]
enum Change {
    /// The flags, from CWR to FIN (RFC 9293, 3.1).
    Flags(u8),
    /// Added to sequence number and acknowledgement.
    Numbers(i32, i32),
    Window(u16),
    Urgent(u16),
    /// In place of the segment's options; a multiple of four bytes.
    TcpOptions(Vec<u8>),
    Payload(Vec<u8>),
    /// Added to the source port, so that it is another peer's.
    Port(u16),
    /// Added to the length that UDP says.
    UdpLength(i16),
    /// In place of the packet's options; a multiple of four bytes.
    IpOptions(Vec<u8>),
    /// The offset in units of 8 bytes, "more fragments", and the identification.
    Fragment(u16, bool, u16),
    /// Added to the length that IPv4 says.
    TotalLength(i16),
    Protocol(u8),
    Source([u8; 4]),
    /// An ICMP message about the frame, cut after so many bytes, in its place.
    Icmp(u8, u8, usize),
    /// An ARP packet in its place: operation, who says so, who is asked for.
    Arp(u16, u8, u8),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let words = |most: usize| {
        prop::collection::vec(any::<u8>(), 0..=most).prop_map(|mut bytes| {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        })
    };
    // Kind, length, bytes: most options are nearly right (RFC 9293, 3.2; RFC 7323; RFC 2018).
    let option = (0..9_u8, prop_oneof![6 => 2..11_u8, 1 => any::<u8>()], prop::collection::vec(any::<u8>(), 0..9));
    let options = prop::collection::vec(option, 0..4).prop_map(|options| {
        let mut bytes: Vec<u8> = Vec::new();
        for (kind, length, rest) in options {
            bytes.push(kind);
            if kind > 1 {
                bytes.push(length);
                bytes.extend(rest);
            }
        }
        bytes.truncate(40);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    });
    let near = || prop_oneof![6 => -3000..3000_i32, 1 => any::<i32>(), 1 => Just(i32::MIN), 1 => Just(0)];
    let change = prop_oneof![
        6 => any::<u8>().prop_map(Change::Flags),
        6 => (near(), near()).prop_map(|(seq, ack)| Change::Numbers(seq, ack)),
        2 => prop_oneof![Just(0), Just(1), any::<u16>()].prop_map(Change::Window),
        1 => any::<u16>().prop_map(Change::Urgent),
        4 => prop_oneof![options, words(40)].prop_map(Change::TcpOptions),
        2 => prop::collection::vec(any::<u8>(), 0..1400).prop_map(Change::Payload),
        2 => (0..3_u16).prop_map(Change::Port),
        1 => any::<i16>().prop_map(|skew| Change::UdpLength(skew % 64)),
        2 => words(40).prop_map(Change::IpOptions),
        4 => (prop_oneof![0..400_u16, 0..0x2000_u16], any::<bool>(), 0..4_u16)
            .prop_map(|(offset, more, ident)| Change::Fragment(offset, more, ident)),
        1 => any::<i16>().prop_map(|skew| Change::TotalLength(skew % 64)),
        1 => prop_oneof![Just(ICMP), Just(TCP), Just(UDP), any::<u8>()].prop_map(Change::Protocol),
        1 => prop_oneof![Just(ip(2).octets()), Just([127, 0, 0, 1]), Just([255; 4]), Just([0; 4]), any::<[u8; 4]>()]
            .prop_map(Change::Source),
        2 => (any::<u8>(), any::<u8>(), 0..80_usize).prop_map(|(kind, code, cut)| Change::Icmp(kind % 20, code % 16, cut)),
        1 => (0..4_u16, 0..6_u8, 0..6_u8).prop_map(|(operation, from, to)| Change::Arp(operation, from, to)),
    ];
    prop::collection::vec(change, 1..4)
}

/// The Internet checksum (RFC 1071) of bytes after a sum.
fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = sum;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A frame of IPv4 in its parts.
#[derive(Clone)]
struct Parts {
    header: [u8; 20],
    options: Vec<u8>,
    /// What is behind the header: a segment, a datagram, a message.
    body: Vec<u8>,
    /// Added to the packet's length.
    skew: i16,
}

impl Parts {
    /// Of a frame of the conversation, whose header has no options.
    fn of(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET..).filter(|packet| packet.len() >= 20 && packet[0] == 0x45)?;
        Some(Self { header: packet[..20].try_into().ok()?, options: Vec::new(), body: packet[20..].to_vec(), skew: 0 })
    }

    fn is_whole_tcp(&self) -> bool {
        self.header[9] == TCP && self.body.len() >= 20
    }

    fn add(&mut self, at: usize, value: i32) {
        let field: [u8; 4] = self.body[at..at + 4].try_into().unwrap();
        self.body[at..at + 4].copy_from_slice(&u32::from_be_bytes(field).wrapping_add(value as u32).to_be_bytes());
    }

    fn change(&mut self, change: &Change) {
        let tcp = self.is_whole_tcp();
        match change {
            Change::Flags(flags) if tcp => self.body[13] = *flags,
            Change::Numbers(seq, ack) if tcp => {
                self.add(4, *seq);
                self.add(8, *ack);
            }
            Change::Window(window) if tcp => self.body[14..16].copy_from_slice(&window.to_be_bytes()),
            Change::Urgent(urgent) if tcp => self.body[18..20].copy_from_slice(&urgent.to_be_bytes()),
            Change::TcpOptions(options) if tcp => {
                let old = usize::from(self.body[12] >> 4) * 4;
                let payload = self.body.split_off(old.clamp(20, self.body.len()));
                self.body.truncate(20);
                self.body.extend(options);
                self.body.extend(payload);
                self.body[12] = (5 + options.len() as u8 / 4) << 4;
            }
            Change::Payload(bytes) => {
                let header = if tcp { usize::from(self.body[12] >> 4) * 4 } else { 8 };
                self.body.truncate(header.min(self.body.len()));
                self.body.extend(bytes);
            }
            Change::Port(skew) if self.body.len() >= 2 => self.body[1] = self.body[1].wrapping_add(*skew as u8),
            Change::UdpLength(skew) if self.header[9] == UDP && self.body.len() >= 8 => {
                let length = (self.body.len() as u16).wrapping_add_signed(*skew);
                self.body[4..6].copy_from_slice(&length.to_be_bytes());
            }
            Change::IpOptions(options) => self.options.clone_from(options),
            Change::Fragment(offset, more, ident) => {
                let word = (offset & 0x1fff) | u16::from(*more) << 13;
                self.header[6..8].copy_from_slice(&word.to_be_bytes());
                self.header[4..6].copy_from_slice(&ident.to_be_bytes());
            }
            Change::TotalLength(skew) => self.skew = *skew,
            Change::Protocol(protocol) => self.header[9] = *protocol,
            Change::Source(from) => self.header[12..16].copy_from_slice(from),
            Change::Icmp(kind, code, cut) => {
                let mut about = self.packet();
                about.truncate(*cut);
                // Of a packet that the host sent: addresses and ports the other way round.
                if about.len() >= 24 {
                    for at in 0..4 {
                        about.swap(12 + at, 16 + at);
                    }
                    about.swap(20, 22);
                    about.swap(21, 23);
                }
                self.header[9] = ICMP;
                self.body = vec![*kind, *code, 0, 0, 0, 0, 0, 0];
                self.body.extend(about);
            }
            _ => {}
        }
    }

    /// The packet, with right checksums.
    fn packet(&self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        bytes.extend(&self.options);
        bytes[0] = 0x40 | (5 + self.options.len() as u8 / 4);
        let start = bytes.len();
        bytes.extend(&self.body);
        let length = (bytes.len() as u16).wrapping_add_signed(self.skew);
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[10..12].fill(0);
        let sum = checksum(0, &bytes[..start]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        // Where the sum lies, and whether it is of the addresses, too (RFC 9293, 3.1).
        let (at, pseudo) = match self.header[9] {
            TCP => (16, true),
            UDP => (6, true),
            _ => (2, false),
        };
        if self.body.len() >= at + 2 {
            bytes[start + at..start + at + 2].fill(0);
            let body = &bytes[start..];
            let mut before = 0;
            if pseudo {
                let addresses = bytes[12..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
                before = addresses.sum::<u32>() + u32::from(self.header[9]) + body.len() as u32;
            }
            let sum = checksum(before, body);
            bytes[start + at..start + at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }
}

fn framed(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [mac(2), mac(1)].concat();
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The frame after all changes.
fn changed(frame: &[u8], changes: &[Change]) -> Vec<u8> {
    let Some(mut parts) = Parts::of(frame) else { return frame.to_vec() };
    for change in changes {
        if let Change::Arp(operation, from, to) = change {
            let mut arp = vec![0, 1, 8, 0, 6, 4];
            arp.extend(operation.to_be_bytes());
            arp.extend(mac(*from));
            arp.extend(ip(*from).octets());
            arp.extend([0; 6]);
            arp.extend(ip(*to).octets());
            return framed(ARP, &arp);
        }
        parts.change(change);
    }
    framed(0x0800, &parts.packet())
}

/// Lets the frames into the second host, each a little after the one before, while it has everything open and talks; then it must still serve.
fn survives(frames: Vec<Vec<u8>>) {
    let mut net = Net::pair(faulty(1, 0, 0, 0, 0));
    let (mut client, mut server) = net.connected(80);
    let mut sink = net.hosts[1].datagrams(at(2, 9));
    for (number, frame) in frames.into_iter().enumerate() {
        net.inject(1, Duration::from_micros(10), frame);
        if number % 4 == 0 {
            let mut sent = 0;
            let _ = net.hosts[0].inet.poll_push(&mut client, &[7; 100], &mut sent, None);
            net.run_until(net.now + Duration::from_millis(3));
            let _ = (net.hosts[1].pop(&mut server), net.hosts[1].pop(&mut sink));
        }
    }
    net.run_until(net.now + Duration::from_secs(2));
    // The connection may be gone: a frame was bent into its reset, or into bytes that its peer never sent, after which both ends disagree
    // for ever. Whatever it came to, another one is served.
    let mut sent = 0;
    let _ = net.hosts[0].inet.poll_push(&mut client, b"alive", &mut sent, None);
    net.run_until(net.now + Duration::from_secs(2));
    let _ = net.hosts[1].pop(&mut server);
    let limit = net.now + Duration::from_secs(100);
    let mut other = net.hosts[0].listener(at(1, 81), 1);
    let mut back = net.hosts[1].connecting(at(1, 81));
    net.until(limit, |hosts| hosts[1].inet.poll_connect(&mut back)).unwrap();
    net.until(limit, |hosts| hosts[0].inet.poll_accept(&mut other)).unwrap();
}

proptest! {
    #![proptest_config(settings(200))]

    #[test]
    fn bent_and_random_frames_do_no_harm(
        bends in prop::collection::vec(any::<Bend>(), 1..40),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
    ) {
        let frames = conversation();
        survives(bends.iter().map(|bent| bend(&frames, bent)).chain(noise).collect());
    }

    #[test]
    fn frames_with_other_fields_and_right_checksums_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), changes()), 1..40),
    ) {
        let frames = conversation();
        survives(changes.iter().map(|(which, changes)| changed(which.get::<Vec<u8>>(&frames), changes)).collect());
    }
}

/// What stacks were brought down with, on every frame of the conversation: the corpus that is always tried.
#[test]
fn known_evil_frames_do_no_harm() {
    let evil: Vec<Vec<Change>> = vec![
        vec![Change::Source(ip(2).octets())],             // "land": from ourselves
        vec![Change::Source([127, 0, 0, 1])],             // from nobody on a wire
        vec![Change::Source([224, 0, 0, 1])],             // from a group
        vec![Change::Flags(0)],                           // "null"
        vec![Change::Flags(0xff)],                        // "xmas"
        vec![Change::Flags(0x03)],                        // SYN and FIN
        vec![Change::Flags(0x06)],                        // SYN and RST
        vec![Change::Flags(0x12)],                        // SYN|ACK of nobody's SYN
        vec![Change::Flags(0x04), Change::Numbers(1, 0)], // a reset beside the window's start (RFC 5961)
        vec![Change::Numbers(i32::MIN, 0)],               // half the space away
        vec![Change::Numbers(0, 1 << 20)],                // acknowledges what was not sent
        vec![Change::Window(0)],
        vec![Change::Urgent(u16::MAX), Change::Flags(0x38)],
        vec![Change::TcpOptions(vec![2, 4, 0, 0])],   // an MSS of 0
        vec![Change::TcpOptions(vec![2, 0, 0, 0])],   // an option of no length
        vec![Change::TcpOptions(vec![2, 255, 0, 0])], // one that is longer than the header
        vec![Change::TcpOptions(vec![3, 3, 255, 0])], // a window scale of 255
        vec![Change::TcpOptions(vec![5, 10, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0])], // a SACK that ends before it begins
        vec![Change::TcpOptions(vec![0xff; 40])],
        vec![Change::IpOptions(vec![7, 3, 255, 0])], // "record route" beyond itself
        vec![Change::IpOptions(vec![131, 0, 0, 0])], // "source route" of no length
        vec![Change::Fragment(0x1fff, false, 1), Change::Payload(vec![1; 1400])], // "ping of death": beyond 64 KiB
        vec![Change::Fragment(0, true, 2), Change::Payload(vec![1; 36])], // "teardrop": the next one
        vec![Change::Fragment(3, false, 2), Change::Payload(vec![1; 4])], // lies within this one
        vec![Change::Fragment(1, true, 3)],          // a hole at the start, for ever
        vec![Change::Fragment(0, true, 4), Change::Payload(Vec::new())], // a fragment of nothing
        vec![Change::TotalLength(-40)],
        vec![Change::TotalLength(63)],
        vec![Change::UdpLength(-8)],
        vec![Change::UdpLength(63)],
        vec![Change::Protocol(ICMP)],
        vec![Change::Icmp(3, 3, 28)], // nobody at this port (RFC 792)
        vec![Change::Icmp(3, 4, 28)], // "fragmentation needed", of an MTU of 0
        vec![Change::Icmp(3, 3, 0)],  // about nothing
        vec![Change::Icmp(3, 3, 21)], // about half a port
        vec![Change::Icmp(5, 0, 28)], // a redirect
        vec![Change::Icmp(8, 0, 80)], // a ping
        vec![Change::Arp(2, 1, 2)],   // the peer's answer, unasked
        vec![Change::Arp(1, 2, 2)],   // somebody has our address
        vec![Change::Arp(2, 0, 0)],
    ];
    let frames = conversation();
    for changes in &evil {
        survives(frames.iter().map(|frame| changed(frame, changes)).collect());
    }
    survives(frames.iter().flat_map(|frame| evil.iter().map(move |changes| changed(frame, changes))).collect());
}

/// Checksums are right after a change, else the stack would not look at the frames at all.
#[test]
fn a_frame_changed_in_nothing_is_what_it_was() {
    for frame in conversation() {
        let parts = Parts::of(&frame);
        // Of a fragment, the checksum is that of the whole.
        if frame[12..14] == [8, 0] && frame[ETHERNET + 6] & 0x3f == 0 && frame[ETHERNET + 7] == 0 {
            assert_eq!(framed(0x0800, &parts.unwrap().packet()), frame);
        }
    }
}
