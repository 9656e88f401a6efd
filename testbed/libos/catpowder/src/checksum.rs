// SPDX-License-Identifier: MIT
//! Frames of the same machine come without checksums when their sender leaves them to hardware (`TP_STATUS_CSUMNOTREADY`):
//! the field holds the sum over the pseudo header only.

const ETHERNET_BYTES: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Completes the TCP or UDP checksum of a frame; others stay as they are.
pub fn complete(frame: &mut [u8]) {
    let Some((_, packet)) = frame.split_at_mut_checked(ETHERNET_BYTES).filter(|(header, _)| header[12..] == IPV4)
    else {
        return;
    };
    if packet.len() < 20 {
        return;
    }
    let field = match packet[9] {
        TCP => 16,
        UDP => 6,
        _ => return,
    };
    let header = usize::from(packet[0] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let Some(segment) = packet.get_mut(header..total).filter(|segment| segment.len() >= field + 2) else { return };
    let sum = match !sum(segment) {
        // Zero would say "no checksum" (RFC 768).
        0 => 0xffff,
        sum => sum,
    };
    segment[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The one's complement sum of big-endian words (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a UDP datagram of 3 bytes whose checksum holds the pseudo header's sum.
    fn frame(protocol: u8, field: usize, payload: &[u8]) -> Vec<u8> {
        let head = if protocol == TCP { 20 } else { 8 };
        let mut frame = vec![0; ETHERNET_BYTES];
        frame[12..].copy_from_slice(&IPV4);
        let total = u16::try_from(20 + head + payload.len()).unwrap();
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        let mut segment = vec![7; head];
        segment.extend(payload);
        let pseudo = pseudo(protocol, segment.len());
        segment[field..field + 2].copy_from_slice(&sum(&pseudo).to_be_bytes());
        frame.extend(packet);
        frame.extend(segment);
        // Ethernet pads short frames; the padding is not part of the sum.
        frame.extend([0xaa; 5]);
        frame
    }

    fn pseudo(protocol: u8, length: usize) -> Vec<u8> {
        let mut pseudo = vec![10, 0, 0, 1, 10, 0, 0, 2, 0, protocol];
        pseudo.extend(u16::try_from(length).unwrap().to_be_bytes());
        pseudo
    }

    #[test]
    fn a_completed_checksum_makes_the_whole_sum_right() {
        for (protocol, field) in [(TCP, 16), (UDP, 6)] {
            for payload in [&b"abc"[..], b"", b"even"] {
                let mut frame = frame(protocol, field, payload);
                complete(&mut frame);
                let segment = &frame[34..frame.len() - 5];
                let mut all = pseudo(protocol, segment.len());
                all.extend(segment);
                assert_eq!(sum(&all), 0xffff, "{protocol} {payload:?}");
            }
        }
    }

    #[test]
    fn frames_that_lie_about_their_lengths_are_left_alone() {
        let whole = frame(TCP, 16, b"abc");
        for length in 0..whole.len() {
            complete(&mut whole.clone()[..length]);
        }
        for first in 0..=255 {
            let mut bent = whole.clone();
            bent[ETHERNET_BYTES] = first;
            complete(&mut bent);
        }
    }
}
