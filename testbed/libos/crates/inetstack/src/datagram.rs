// SPDX-License-Identifier: MIT
//! Datagrams that need nothing of smoltcp: whole ones over IPv4 without options. They are most of all, and with them alone a
//! round trip is short. What is fragmented, damaged or for nobody stays smoltcp's, which knows what to do with it.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::packet::IPV4_HEADER_BYTES;

/// Length of a UDP header, bytes (RFC 768).
const UDP_HEADER_BYTES: usize = 8;
/// Length of both headers, bytes.
pub const HEADERS_BYTES: usize = IPV4_HEADER_BYTES + UDP_HEADER_BYTES;
/// Version 4, five words of header (RFC 791, 3.1).
const VERSION_AND_LENGTH: u8 = 0x45;
/// More fragments, or an offset.
const FRAGMENT: u16 = 0x3fff;
const DONT_FRAGMENT: u16 = 0x4000;
/// As smoltcp's sockets have it.
const TTL: u8 = 64;
/// UDP's number (RFC 768).
const UDP: u8 = 17;

/// A datagram within a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub bytes: &'a [u8],
}

/// Reads a whole datagram whose checksums are right.
pub fn read(packet: &[u8]) -> Option<Datagram<'_>> {
    let (ip, rest) = packet.split_first_chunk::<IPV4_HEADER_BYTES>()?;
    let plain = ip[0] == VERSION_AND_LENGTH && ip[9] == UDP && number(ip[6], ip[7]) & FRAGMENT == 0;
    if !plain || fold(sum(ip)) != u16::MAX {
        return None;
    }
    let segment = rest.get(..usize::from(number(ip[2], ip[3])).checked_sub(IPV4_HEADER_BYTES)?)?;
    let head = segment.first_chunk::<UDP_HEADER_BYTES>()?;
    let segment = segment.get(..usize::from(number(head[4], head[5])))?;
    let bytes = segment.get(UDP_HEADER_BYTES..)?;
    let (from, to) = (number(head[0], head[1]), number(head[2], head[3]));
    // Without a checksum its field is zero (RFC 768).
    let right = number(head[6], head[7]) == 0 || fold(sum(segment) + pseudo(ip, head)) == u16::MAX;
    if to == 0 || !right {
        return None;
    }
    let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
    Some(Datagram { from: SocketAddrV4::new(address(12), from), to: SocketAddrV4::new(address(16), to), bytes })
}

/// Writes a datagram into a packet of its length, as smoltcp would.
///
/// # Panics
/// The packet has another length than headers and bytes together, or they are longer than IPv4 allows.
pub fn write(packet: &mut [u8], datagram: &Datagram<'_>) {
    let Datagram { from, to, bytes } = *datagram;
    let total = u16::try_from(HEADERS_BYTES + bytes.len()).expect("a datagram fits into IPv4");
    let (headers, payload) = packet.split_at_mut(HEADERS_BYTES);
    payload.copy_from_slice(bytes);
    // In words of a register: what is written in smaller pieces is not read again, which would have to wait for them.
    let length = word(total - IPV4_HEADER_BYTES as u16, 0);
    let (source, destination) = (u32::from_ne_bytes(from.ip().octets()), u32::from_ne_bytes(to.ip().octets()));
    let ports = word(from.port(), to.port());
    let first = [word(u16::from_be_bytes([VERSION_AND_LENGTH, 0]), total), word(0, DONT_FRAGMENT)];
    let protocol = word(u16::from_be_bytes([TTL, UDP]), 0);
    let addresses = u64::from(source) + u64::from(destination);
    let checksum = !fold(u64::from(first[0]) + u64::from(first[1]) + u64::from(protocol) + addresses);
    let head = u64::from(ports) + u64::from(length) * 2 + u64::from(word(0, u16::from(UDP)));
    let udp_checksum = match !fold(addresses + head + sum(payload)) {
        // Zero would say "no checksum" (RFC 768).
        0 => u16::MAX,
        checksum => checksum,
    };
    let words = [
        first[0],
        first[1],
        protocol | halves(0, checksum),
        source,
        destination,
        ports,
        length | halves(0, udp_checksum),
    ];
    for (place, word) in headers.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}

/// Two numbers as they lie in a packet, as a word.
fn word(first: u16, second: u16) -> u32 {
    halves(first.to_be(), second.to_be())
}

/// A word of two halves, which are in the packet's order already.
fn halves(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

fn number(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

/// The sum of UDP's pseudo header: addresses, protocol, length.
fn pseudo(ip: &[u8; IPV4_HEADER_BYTES], head: &[u8; UDP_HEADER_BYTES]) -> u64 {
    let protocol = u16::from_ne_bytes([0, UDP]);
    let length = u16::from_ne_bytes([head[4], head[5]]);
    sum(&ip[12..]) + u64::from(protocol) + u64::from(length)
}

/// The sum of words as they lie there: which byte of a word is the first is all the same to it (RFC 1071, 2 (B)).
#[inline]
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // No packet is so long that this wraps.
    let mut total = words.iter().fold(0_u64, |total, word| {
        let word = u64::from_ne_bytes(*word);
        total.wrapping_add(word & 0xffff_ffff).wrapping_add(word >> 32)
    });
    let (pairs, last) = rest.as_chunks::<2>();
    for pair in pairs {
        total = total.wrapping_add(u16::from_ne_bytes(*pair).into());
    }
    if let [last] = last {
        total = total.wrapping_add(u16::from_ne_bytes([*last, 0]).into());
    }
    total
}

/// The one's complement sum of 16 bits.
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    // Both steps leave at most 16 bits.
    sum as u16
}

#[cfg(test)]
mod tests {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr};

    use super::*;

    const US: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 4096);
    const THEM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 9);

    fn written(bytes: &[u8]) -> Vec<u8> {
        let mut packet = vec![0xaa; HEADERS_BYTES + bytes.len()];
        write(&mut packet, &Datagram { from: US, to: THEM, bytes });
        packet
    }

    fn by_smoltcp(bytes: &[u8]) -> Vec<u8> {
        let checksums = ChecksumCapabilities::default();
        let udp = UdpRepr { src_port: US.port(), dst_port: THEM.port() };
        let ip = Ipv4Repr {
            src_addr: *US.ip(),
            dst_addr: *THEM.ip(),
            next_header: IpProtocol::Udp,
            payload_len: UDP_HEADER_BYTES + bytes.len(),
            hop_limit: 64,
        };
        let mut packet = vec![0; HEADERS_BYTES + bytes.len()];
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut packet), &checksums);
        udp.emit(
            &mut UdpPacket::new_unchecked(&mut packet[IPV4_HEADER_BYTES..]),
            &IpAddress::Ipv4(*US.ip()),
            &IpAddress::Ipv4(*THEM.ip()),
            bytes.len(),
            |room| room.copy_from_slice(bytes),
            &checksums,
        );
        packet
    }

    #[test]
    fn a_datagram_is_written_as_smoltcp_writes_it_and_read_again() {
        for length in (0..80).chain([1471, 1472, 65507]) {
            let bytes: Vec<u8> = (0..length).map(|at: u32| (at * 37 + length).to_le_bytes()[0]).collect();
            let packet = written(&bytes);
            assert_eq!(packet, by_smoltcp(&bytes), "{length} bytes");
            assert_eq!(read(&packet), Some(Datagram { from: US, to: THEM, bytes: &bytes }));
        }
    }

    #[test]
    fn a_sum_of_zero_is_not_sent_as_no_checksum() {
        // Two bytes that make the sum 0xffff, so that its complement is zero.
        let packet = written(&[0, 0]);
        let filled = [packet[26], packet[27]];
        let packet = written(&filled);
        assert_eq!(packet[26..28], [0xff, 0xff]);
        assert_eq!(packet, by_smoltcp(&filled));
        assert!(read(&packet).is_some());
    }

    #[test]
    fn a_datagram_without_checksum_is_read() {
        let mut packet = written(b"bytes");
        packet[26..28].fill(0);
        assert_eq!(read(&packet).unwrap().bytes, b"bytes");
    }

    #[test]
    fn padding_behind_a_datagram_does_not_count() {
        let mut packet = written(b"odd");
        packet.extend([0xbb; 15]);
        assert_eq!(read(&packet).unwrap().bytes, b"odd");
    }

    #[test]
    fn every_damaged_bit_is_seen() {
        let packet = written(b"some bytes");
        for bit in 0..packet.len() * 8 {
            let mut bent = packet.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bent), None, "bit {bit}");
        }
    }

    #[test]
    fn what_is_cut_off_lies_about_its_length_or_is_no_plain_datagram_is_smoltcp_s() {
        let packet = written(b"some bytes");
        for length in 0..packet.len() {
            assert_eq!(read(&packet[..length]), None, "{length} bytes of it");
        }
        // With a right checksum of the IPv4 header, and none of UDP.
        let with = |at: usize, value: &[u8]| {
            let mut bent = packet.clone();
            bent[26..28].fill(0);
            bent[at..at + value.len()].copy_from_slice(value);
            bent[10..12].fill(0);
            let checksum = !fold(sum(&bent[..IPV4_HEADER_BYTES]));
            bent[10..12].copy_from_slice(&checksum.to_ne_bytes());
            bent
        };
        assert!(read(&with(8, &[1])).is_some(), "another TTL is no fault");
        let faults: [(&str, usize, &[u8]); 9] = [
            ("version 6", 0, &[0x65]),
            ("options", 0, &[0x46]),
            ("a length below the header's", 2, &[0, 19]),
            ("a length beyond the packet", 2, &[0, 39]),
            ("more fragments", 6, &[0x20, 0]),
            ("an offset", 6, &[0, 1]),
            ("TCP", 9, &[6]),
            ("to port 0", 22, &[0, 0]),
            ("a UDP length below its header's", 24, &[0, 7]),
        ];
        for (what, at, value) in faults {
            assert_eq!(read(&with(at, value)), None, "{what}");
        }
        assert_eq!(read(&with(24, &[0, 19])), None, "a UDP length beyond the packet");
    }
}
