// SPDX-License-Identifier: MIT
//! One stack against packets made by hand, at exact times: what it answers, and what it lets pass.

mod common;

use std::task::Poll;
use std::time::Duration;

use common::{at, clean, config, ip, mac, Net};
use inetstack::Endpoint;
use queue::{Errno, IoPath};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr,
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

const LONG: Duration = Duration::from_secs(7200);
const NOW: Duration = Duration::ZERO;
/// The peer that the test plays.
const PEER: u8 = 2;
const SEQUENCE: i32 = 1000;

/// A host alone with the test, which its ARP table knows.
fn alone() -> Net {
    let mut settings = config(1);
    settings.inet.arp_table = vec![(ip(PEER), mac(PEER))];
    Net::new(&[settings], clean())
}

fn framed(protocol: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress(mac(1)));
    frame.set_src_addr(EthernetAddress(mac(PEER)));
    frame.set_ethertype(protocol);
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

fn packet(protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let header = Ipv4Repr {
        src_addr: ip(PEER),
        dst_addr: ip(1),
        next_header: protocol,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 20 + payload.len()];
    header.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &ChecksumCapabilities::default());
    bytes[20..].copy_from_slice(payload);
    bytes
}

fn segment() -> TcpRepr<'static> {
    TcpRepr {
        src_port: 1000,
        dst_port: 80,
        control: TcpControl::None,
        seq_number: TcpSeqNumber(SEQUENCE),
        ack_number: None,
        window_len: 10_000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}

fn tcp(segment: &TcpRepr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; segment.buffer_len()];
    let mut packet_out = TcpPacket::new_unchecked(&mut bytes);
    let (from, to) = (IpAddress::Ipv4(ip(PEER)), IpAddress::Ipv4(ip(1)));
    segment.emit(&mut packet_out, &from, &to, &ChecksumCapabilities::default());
    framed(EthernetProtocol::Ipv4, &packet(IpProtocol::Tcp, &bytes))
}

/// A segment that the host sent: when, flags, sequence number, acknowledgement, payload.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    at: Duration,
    syn: bool,
    fin: bool,
    rst: bool,
    seq: TcpSeqNumber,
    ack: TcpSeqNumber,
    payload: Vec<u8>,
}

fn sent(net: &Net) -> Vec<Sent> {
    let read = |(at, _, frame): &(Duration, usize, Vec<u8>)| {
        let ip = Ipv4Packet::new_checked(&frame[14..]).ok()?;
        let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
        Some(Sent {
            at: *at,
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            seq: tcp.seq_number(),
            ack: tcp.ack_number(),
            payload: tcp.payload().to_vec(),
        })
    };
    net.log.iter().filter_map(read).collect()
}

/// Takes a connection in from the test: the listener, the host's end, our next sequence number of the host's.
fn taken(net: &mut Net, window_len: u16) -> (Endpoint, Endpoint, TcpSeqNumber) {
    let mut listener = net.hosts[0].listener(at(1, 80), 4);
    net.inject(0, NOW, tcp(&TcpRepr { control: TcpControl::Syn, max_seg_size: Some(1460), window_len, ..segment() }));
    net.settle();
    let answer = sent(net).pop().expect("a SYN|ACK");
    assert!(answer.syn && answer.ack == TcpSeqNumber(SEQUENCE + 1));
    let ack_number = Some(answer.seq + 1);
    let seq_number = TcpSeqNumber(SEQUENCE + 1);
    net.inject(0, NOW, tcp(&TcpRepr { seq_number, ack_number, window_len, ..segment() }));
    let (stream, _) = net.until(LONG, |hosts| hosts[0].inet.poll_accept(&mut listener)).unwrap();
    net.log.clear();
    (listener, stream, answer.seq + 1)
}

/// A segment of the established connection.
fn data(offset: i32, ack: TcpSeqNumber, payload: &[u8]) -> TcpRepr<'_> {
    TcpRepr { seq_number: TcpSeqNumber(SEQUENCE + 1 + offset), ack_number: Some(ack), payload, ..segment() }
}

fn arp(operation: ArpOperation, target: u8) -> Vec<u8> {
    let arp = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac(9)),
        source_protocol_addr: ip(9),
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: ip(target),
    };
    let mut bytes = vec![0; arp.buffer_len()];
    arp.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    framed(EthernetProtocol::Arp, &bytes)
}

#[test]
fn arp_requests_for_us_are_answered_and_no_others() {
    let mut net = alone();
    net.inject(0, NOW, arp(ArpOperation::Request, 7));
    net.settle();
    assert!(net.log.is_empty());
    net.inject(0, NOW, arp(ArpOperation::Request, 1));
    net.settle();
    let [(_, _, frame)] = &net.log[..] else { panic!("{} answers", net.log.len()) };
    let answer = ArpRepr::parse(&ArpPacket::new_checked(&frame[14..]).unwrap()).unwrap();
    let ArpRepr::EthernetIpv4 { operation, source_hardware_addr, target_protocol_addr, .. } = answer else { panic!() };
    assert_eq!((operation, source_hardware_addr.0, target_protocol_addr), (ArpOperation::Reply, mac(1), ip(9)));
}

#[test]
fn a_segment_for_a_port_where_nobody_is_gets_a_reset() {
    let mut net = alone();
    net.inject(0, NOW, tcp(&TcpRepr { control: TcpControl::Syn, ..segment() }));
    net.settle();
    let answer = sent(&net).pop().unwrap();
    assert!(answer.rst && answer.ack == TcpSeqNumber(SEQUENCE + 1));
    net.inject(0, NOW, tcp(&TcpRepr { control: TcpControl::Rst, ..segment() }));
    net.settle();
    assert_eq!(sent(&net).len(), 1);
}

#[test]
fn packets_with_wrong_checksums_are_dropped() {
    for place in [14 + 10, 14 + 20 + 16] {
        let mut net = alone();
        let _listener = net.hosts[0].listener(at(1, 80), 4);
        let mut frame = tcp(&TcpRepr { control: TcpControl::Syn, ..segment() });
        frame[place] ^= 1;
        net.inject(0, NOW, frame);
        net.settle();
        assert!(net.log.is_empty(), "{place}");
        // Nothing is left of it in the backlog.
        net.run_until(Duration::from_secs(200));
        assert!(net.log.is_empty());
    }
}

#[test]
fn ip_options_are_passed_over() {
    let mut net = alone();
    let _listener = net.hosts[0].listener(at(1, 80), 4);
    let plain = tcp(&TcpRepr { control: TcpControl::Syn, ..segment() });
    let mut frame = plain[..34].to_vec();
    frame.extend([1; 4]); // four times "no operation" (RFC 791, 3.1)
    frame.extend(&plain[34..]);
    let mut header = Ipv4Packet::new_unchecked(&mut frame[14..]);
    header.set_header_len(24);
    header.set_total_len(u16::try_from(plain.len() - 14 + 4).unwrap());
    header.fill_checksum();
    net.inject(0, NOW, frame);
    net.settle();
    assert!(sent(&net).pop().unwrap().syn);
}

#[test]
fn a_fin_that_overtakes_its_data_waits_for_it() {
    let mut net = alone();
    let (_listener, mut stream, ack) = taken(&mut net, 10_000);
    net.inject(0, NOW, tcp(&TcpRepr { control: TcpControl::Fin, ..data(5, ack, b"world") }));
    net.settle();
    assert!(net.hosts[0].pop(&mut stream).is_pending());
    net.inject(0, NOW, tcp(&data(0, ack, b"hello")));
    net.settle();
    // All data is acknowledged, so the peer repeats the FIN alone.
    net.inject(0, NOW, tcp(&TcpRepr { control: TcpControl::Fin, ..data(10, ack, b"") }));
    let mut seen = Vec::new();
    net.until(LONG, |hosts| match hosts[0].pop(&mut stream).map(Result::unwrap) {
        Poll::Ready((piece, _)) if piece.is_empty() => Poll::Ready(()),
        Poll::Ready((piece, _)) => {
            seen.extend(piece);
            Poll::Pending
        }
        Poll::Pending => Poll::Pending,
    });
    assert_eq!(seen, b"helloworld");
}

#[test]
fn unacknowledged_data_is_sent_again_after_1_3_7_seconds() {
    let mut net = alone();
    let (_listener, mut stream, _) = taken(&mut net, 10_000);
    let mut count = 0;
    let _ = net.hosts[0].inet.poll_push(&mut stream, b"again", &mut count, None);
    let start = net.now;
    net.run_until(start + Duration::from_secs(8));
    let times: Vec<u64> = sent(&net).iter().map(|segment| (segment.at - start).as_secs()).collect();
    assert_eq!(times, [0, 1, 3, 7]);
    assert!(sent(&net).iter().all(|segment| segment.payload == b"again"));
}

#[test]
fn a_window_of_zero_is_probed_and_then_used() {
    let mut net = alone();
    let (_listener, mut stream, ack) = taken(&mut net, 0);
    let mut count = 0;
    let _ = net.hosts[0].inet.poll_push(&mut stream, b"blocked", &mut count, None);
    net.run_until(net.now + Duration::from_secs(5));
    assert!(!sent(&net).is_empty() && sent(&net).iter().all(|segment| segment.payload.len() <= 1), "{:?}", sent(&net));
    net.log.clear();
    net.inject(0, NOW, tcp(&data(0, ack, b"")));
    net.settle();
    assert_eq!(sent(&net).pop().unwrap().payload, b"blocked");
}

#[test]
fn a_reset_ends_a_connection_only_inside_the_window() {
    let mut net = alone();
    let (_listener, mut stream, ack) = taken(&mut net, 10_000);
    net.inject(0, NOW, tcp(&TcpRepr { control: TcpControl::Rst, ..data(-5000, ack, b"") }));
    net.settle();
    assert!(net.hosts[0].pop(&mut stream).is_pending());
    net.inject(0, NOW, tcp(&TcpRepr { control: TcpControl::Rst, ..data(0, ack, b"") }));
    net.settle();
    assert_eq!(net.hosts[0].pop(&mut stream), Poll::Ready(Err(Errno::ECONNRESET)));
}

#[test]
fn an_icmp_error_ends_an_attempt_and_no_connection() {
    let mut net = alone();
    let mut client = net.hosts[0].connecting(at(PEER, 80));
    net.settle();
    let (_, _, syn) = net.log[0].clone();
    let quoted = Ipv4Packet::new_checked(&syn[14..]).unwrap();
    let error = Icmpv4Repr::DstUnreachable {
        reason: smoltcp::wire::Icmpv4DstUnreachable::HostUnreachable,
        header: Ipv4Repr::parse(&quoted, &ChecksumCapabilities::default()).unwrap(),
        data: &quoted.payload()[..8],
    };
    let mut bytes = vec![0; error.buffer_len()];
    error.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes), &ChecksumCapabilities::default());
    let good = framed(EthernetProtocol::Ipv4, &packet(IpProtocol::Icmp, &bytes));
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    net.inject(0, NOW, bad);
    net.settle();
    assert!(net.hosts[0].inet.poll_connect(&mut client).is_pending());
    net.inject(0, NOW, good);
    net.settle();
    assert_eq!(net.hosts[0].inet.poll_connect(&mut client), Poll::Ready(Err(Errno::EHOSTUNREACH)));
}
