// SPDX-License-Identifier: MIT
//! What the stack must know of an IPv4 packet before smoltcp sees it, or after smoltcp made it.

use std::net::SocketAddrV4;

use queue::Errno;
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, IpProtocol, Ipv4Packet, TcpPacket};

/// Length of an IPv4 header without options, bytes.
pub const IPV4_HEADER_BYTES: usize = 20;
/// Length of a TCP header without options, bytes.
pub const TCP_HEADER_BYTES: usize = 20;
/// TCP's number (RFC 9293).
const TCP: u8 = 6;
/// Kinds of TCP options (RFC 9293, 3.1).
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;
/// Where the checksum is in a TCP header.
const TCP_CHECKSUM_AT: usize = 16;

/// A TCP segment's ends and flags; nothing of it is checked but lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
    pub syn: bool,
    pub ack: bool,
    pub rst: bool,
}

/// Reads a TCP segment out of a packet that is no fragment.
pub fn segment(packet: &[u8]) -> Option<Segment> {
    if packet.get(9) != Some(&TCP) {
        return None;
    }
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    if ip.more_frags() || ip.frag_offset() != 0 {
        return None;
    }
    let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
    Some(Segment {
        source: SocketAddrV4::new(ip.src_addr(), tcp.src_port()),
        destination: SocketAddrV4::new(ip.dst_addr(), tcp.dst_port()),
        syn: tcp.syn(),
        ack: tcp.ack(),
        rst: tcp.rst(),
    })
}

/// Says whether a packet is one of several fragments.
pub fn is_fragment(packet: &[u8]) -> bool {
    // More fragments, or an offset.
    packet.get(6..8).is_some_and(|field| u16::from_be_bytes([field[0], field[1]]) & 0x3fff != 0)
}

/// What an ICMP error says of a packet that we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the packet that we sent: TCP, else UDP.
    pub tcp: bool,
    pub local: SocketAddrV4,
    pub remote: SocketAddrV4,
    pub errno: Errno,
}

/// Reads an ICMP error about TCP or UDP (RFC 792; RFC 1122, 3.2.2); checksums are checked.
pub fn refusal(packet: &[u8]) -> Option<Refusal> {
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    if ip.next_header() != IpProtocol::Icmp || !ip.verify_checksum() {
        return None;
    }
    let icmp = Icmpv4Packet::new_checked(ip.payload()).ok()?;
    if !icmp.verify_checksum() {
        return None;
    }
    let errno = icmp_errno(icmp.msg_type(), icmp.msg_code())?;
    // Only 8 bytes of the quoted packet's payload are certain: the ports.
    let quoted = Ipv4Packet::new_unchecked(icmp.data());
    let header = icmp.data().first().map(|first| usize::from(first & 15) * 4)?;
    let ports = icmp.data().get(header.max(IPV4_HEADER_BYTES)..)?.get(..4)?;
    Some(Refusal {
        tcp: match quoted.next_header() {
            IpProtocol::Tcp => true,
            IpProtocol::Udp => false,
            _ => return None,
        },
        local: SocketAddrV4::new(quoted.src_addr(), u16::from_be_bytes([ports[0], ports[1]])),
        remote: SocketAddrV4::new(quoted.dst_addr(), u16::from_be_bytes([ports[2], ports[3]])),
        errno,
    })
}

/// As Linux maps them (`icmp_err_convert` in net/ipv4/icmp.c).
fn icmp_errno(kind: Icmpv4Message, code: u8) -> Option<Errno> {
    match kind {
        Icmpv4Message::DstUnreachable => match Icmpv4DstUnreachable::from(code) {
            Icmpv4DstUnreachable::PortUnreachable => Some(Errno::ECONNREFUSED),
            Icmpv4DstUnreachable::ProtoUnreachable => Some(Errno::ENOPROTOOPT),
            Icmpv4DstUnreachable::NetUnreachable => Some(Errno::ENETUNREACH),
            Icmpv4DstUnreachable::FragRequired => None,
            _ => Some(Errno::EHOSTUNREACH),
        },
        Icmpv4Message::TimeExceeded => Some(Errno::EHOSTUNREACH),
        _ => None,
    }
}

/// Lowers the MSS that a SYN announces (RFC 9293, 3.7.1) to `mss` bytes, with its checksum; other packets stay as they are.
pub fn clamp_mss(packet: &mut [u8], mss: u16) {
    if packet.get(9) != Some(&TCP) {
        return;
    }
    let is_syn = segment(packet).is_some_and(|segment| segment.syn);
    if !is_syn {
        return;
    }
    let header = usize::from(packet[0] & 15) * 4;
    let tcp = &mut packet[header..];
    let end = usize::from(tcp[12] >> 4) * 4;
    let mut at = TCP_HEADER_BYTES;
    while at < end {
        match tcp[at] {
            OPTION_END => return,
            OPTION_NOP => at += 1,
            kind => {
                let Some(&length) = tcp[..end].get(at + 1) else { return };
                if kind == OPTION_MSS && length == 4 && at + 4 <= end {
                    lower(tcp, at, mss);
                    return;
                }
                at += usize::from(length).max(2);
            }
        }
    }
}

/// Lowers the value of the MSS option at `at`.
fn lower(tcp: &mut [u8], at: usize, mss: u16) {
    let old = u16::from_be_bytes([tcp[at + 2], tcp[at + 3]]);
    if old <= mss {
        return;
    }
    // An option may begin at an odd byte, so the checksum is updated by its 4 bytes as they lie in the 16-bit words.
    let words = (at & !1)..((at + 4 + 1) & !1);
    let before = sum(&tcp[words.clone()]);
    tcp[at + 2..at + 4].copy_from_slice(&mss.to_be_bytes());
    let after = sum(&tcp[words]);
    let checksum = u16::from_be_bytes([tcp[TCP_CHECKSUM_AT], tcp[TCP_CHECKSUM_AT + 1]]);
    // RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
    let updated = !fold(u32::from(!checksum) + u32::from(!before) + u32::from(after));
    tcp[TCP_CHECKSUM_AT..TCP_CHECKSUM_AT + 2].copy_from_slice(&updated.to_be_bytes());
}

/// The one's complement sum of big-endian words.
fn sum(bytes: &[u8]) -> u16 {
    fold(bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum())
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Makes the fragment of `packet` that begins `offset` bytes into its payload (RFC 791, 3.2), for links of `mtu` bytes.
///
/// Gives its length in `into`, which has room for `mtu` bytes, and the offset of the next one.
pub fn fragment(packet: &[u8], offset: usize, ident: u16, mtu: usize, into: &mut [u8]) -> (usize, Option<usize>) {
    let payload = &packet[IPV4_HEADER_BYTES..];
    let room = (mtu - IPV4_HEADER_BYTES) & !7;
    let count = room.min(payload.len() - offset);
    let next = Some(offset + count).filter(|&next| next < payload.len());
    let length = IPV4_HEADER_BYTES + count;
    into[..IPV4_HEADER_BYTES].copy_from_slice(&packet[..IPV4_HEADER_BYTES]);
    into[IPV4_HEADER_BYTES..length].copy_from_slice(&payload[offset..offset + count]);
    let mut ip = Ipv4Packet::new_unchecked(&mut into[..length]);
    // Both are below 65536: a packet is no longer than that.
    ip.set_total_len(u16::try_from(length).unwrap_or(u16::MAX));
    ip.set_frag_offset(u16::try_from(offset).unwrap_or(u16::MAX));
    ip.set_ident(ident);
    ip.set_dont_frag(false);
    ip.set_more_frags(next.is_some());
    ip.fill_checksum();
    (length, next)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpAddress, Ipv4Repr, TcpControl, TcpRepr, TcpSeqNumber};

    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const THEM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn syn(mss: Option<u16>, window_scale: Option<u8>) -> Vec<u8> {
        let tcp = TcpRepr {
            src_port: 1000,
            dst_port: 80,
            control: TcpControl::Syn,
            seq_number: TcpSeqNumber(7),
            ack_number: None,
            window_len: 1000,
            window_scale,
            max_seg_size: mss,
            sack_permitted: true,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let ip = Ipv4Repr {
            src_addr: US,
            dst_addr: THEM,
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; IPV4_HEADER_BYTES + tcp.buffer_len()];
        let checksums = ChecksumCapabilities::default();
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &checksums);
        let mut packet = TcpPacket::new_unchecked(&mut bytes[IPV4_HEADER_BYTES..]);
        tcp.emit(&mut packet, &IpAddress::Ipv4(US), &IpAddress::Ipv4(THEM), &checksums);
        bytes
    }

    fn read_mss(bytes: &[u8]) -> Option<u16> {
        let tcp = TcpPacket::new_checked(&bytes[IPV4_HEADER_BYTES..]).unwrap();
        let (us, them) = (IpAddress::Ipv4(US), IpAddress::Ipv4(THEM));
        TcpRepr::parse(&tcp, &us, &them, &ChecksumCapabilities::default()).unwrap().max_seg_size
    }

    #[test]
    fn a_larger_mss_is_lowered_and_the_checksum_stays_right() {
        for mss in [537, 1460, 8960, 65535] {
            let mut bytes = syn(Some(mss), Some(7));
            clamp_mss(&mut bytes, 536);
            assert_eq!(read_mss(&bytes), Some(536));
        }
    }

    #[test]
    fn a_smaller_mss_and_a_missing_one_stay() {
        for mss in [None, Some(100)] {
            let mut bytes = syn(mss, None);
            let before = bytes.clone();
            clamp_mss(&mut bytes, 536);
            assert_eq!(bytes, before);
        }
    }

    #[test]
    fn an_mss_behind_odd_padding_is_lowered_with_a_right_checksum() {
        let mut bytes = syn(Some(1460), Some(7));
        // NOP in front of the MSS: move the options by one, over the padding or what else is last.
        let end = bytes.len();
        bytes.copy_within(40..end - 1, 41);
        bytes[40] = OPTION_NOP;
        let mut tcp = TcpPacket::new_unchecked(&mut bytes[IPV4_HEADER_BYTES..]);
        tcp.fill_checksum(&IpAddress::Ipv4(US), &IpAddress::Ipv4(THEM));
        clamp_mss(&mut bytes, 1000);
        let tcp = TcpPacket::new_checked(&bytes[IPV4_HEADER_BYTES..]).unwrap();
        assert!(tcp.verify_checksum(&IpAddress::Ipv4(US), &IpAddress::Ipv4(THEM)));
        assert_eq!(bytes[43..45], 1000_u16.to_be_bytes());
    }

    #[test]
    fn options_that_lie_about_their_length_are_left_alone() {
        for length in [0, 1, 255] {
            let mut bytes = syn(Some(1460), Some(7));
            bytes[41] = length;
            let before = bytes.clone();
            clamp_mss(&mut bytes, 536);
            assert_eq!(bytes, before);
        }
    }

    #[test]
    fn fragments_carry_every_byte_once() {
        let payload: Vec<u8> = (0..4001_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut packet = vec![0; IPV4_HEADER_BYTES];
        packet[0] = 0x45;
        packet.extend(&payload);
        let mut into = [0; 1500];
        let mut seen = vec![0; payload.len()];
        let mut offset = Some(0);
        let mut lengths = Vec::new();
        while let Some(at) = offset {
            let (length, next) = fragment(&packet, at, 9, 1500, &mut into);
            let ip = Ipv4Packet::new_checked(&into[..length]).unwrap();
            assert!(ip.verify_checksum());
            assert_eq!((ip.ident(), ip.more_frags(), usize::from(ip.frag_offset())), (9, next.is_some(), at));
            seen[at..at + ip.payload().len()].copy_from_slice(ip.payload());
            lengths.push(ip.payload().len());
            offset = next;
        }
        assert_eq!(seen, payload);
        assert_eq!(lengths, [1480, 1480, 1041]);
    }
}
