// SPDX-License-Identifier: MIT
//! A writer of pcapng (draft-ietf-opsawg-pcapng): one section, one Ethernet interface, enhanced packet blocks.

/// Which way a frame went, as the node at that end sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Inbound,
    Outbound,
}

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const LINKTYPE_ETHERNET: u16 = 1;
const OPT_END: u16 = 0;
const OPT_IF_NAME: u16 = 2;
const OPT_IF_TSRESOL: u16 = 9;
const OPT_EPB_FLAGS: u16 = 2;

/// Append the section header and the description of the one interface; times are in ns.
pub fn header(out: &mut Vec<u8>, interface: &str, snaplen: u32) {
    block(out, SECTION, |b| {
        b.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        b.extend_from_slice(&1_u16.to_le_bytes());
        b.extend_from_slice(&0_u16.to_le_bytes());
        b.extend_from_slice(&u64::MAX.to_le_bytes());
    });
    block(out, INTERFACE, |b| {
        b.extend_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
        b.extend_from_slice(&0_u16.to_le_bytes());
        b.extend_from_slice(&snaplen.to_le_bytes());
        option(b, OPT_IF_NAME, interface.as_bytes());
        option(b, OPT_IF_TSRESOL, &[9]);
        option(b, OPT_END, &[]);
    });
}

/// Append one frame: time in ns since 1970, its length on the wire, and the parts of what was kept of it.
pub fn packet(out: &mut Vec<u8>, time_ns: u64, wire_len: u32, parts: &[&[u8]], direction: Direction) {
    // Type, length, interface, the time's halves, length kept, length on the wire; then, behind the frame: the flags
    // as an option, the end of options, the length again.
    const HEAD: usize = 28;
    const TAIL: usize = 16;
    let kept: usize = parts.iter().map(|p| p.len()).sum();
    let padding = kept.wrapping_neg() % 4;
    let length = (HEAD + kept + padding + TAIL) as u32;
    let flags: u32 = match direction {
        Direction::Inbound => 1,
        Direction::Outbound => 2,
    };
    let head = [ENHANCED_PACKET, length, 0, (time_ns >> 32) as u32, time_ns as u32, kept as u32, wire_len];
    let tail = [u32::from(OPT_EPB_FLAGS) | 4 << 16, flags, u32::from(OPT_END), length];
    // One piece at a time: this is done for every frame of every link end.
    out.reserve(length as usize);
    out.extend_from_slice(&words::<7, HEAD>(head));
    for part in parts {
        out.extend_from_slice(part);
    }
    pad(out, kept);
    out.extend_from_slice(&words::<4, TAIL>(tail));
}

/// The bytes of 32-bit words, little-endian as a section says of itself.
fn words<const N: usize, const BYTES: usize>(words: [u32; N]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - start + 4) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn pad(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&[0; 3][..length.wrapping_neg() % 4]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_has_the_bytes_of_the_draft() {
        let mut out = Vec::new();
        header(&mut out, "a.b", 0);
        let golden: &[u8] = &[
            0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 28, 0, 0, 0, // section
            1, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, b'a', b'.', b'b', 0, 9, 0, 1, 0, 9, 0, 0, 0,
            0, 0, 0, 0, 40, 0, 0, 0, // interface
        ];
        assert_eq!(out, golden);
    }

    #[test]
    fn packet_has_the_bytes_of_the_draft() {
        let mut out = Vec::new();
        packet(&mut out, 0x0000_0001_0000_0002, 60, &[b"ab", b"cde"], Direction::Outbound);
        let golden: &[u8] = &[
            6, 0, 0, 0, 52, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 60, 0, 0, 0, b'a', b'b', b'c',
            b'd', b'e', 0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0,
        ];
        assert_eq!(out, golden);
    }
}
