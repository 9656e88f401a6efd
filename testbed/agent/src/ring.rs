// SPDX-License-Identifier: MIT
//! A TPACKET_V3 receive ring (Documentation/networking/packet_mmap.rst, net/packet/af_packet.c): the kernel fills
//! blocks of frames and wakes us per block, not per frame.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys;

const BLOCK: usize = 256 << 10;
const FRAME: usize = 2048;
const PACKET_OUTGOING: u8 = 4;
const STATUS_USER: u32 = 1;
const STATUS_VLAN_VALID: u32 = 1 << 4;
const STATUS_VLAN_TPID_VALID: u32 = 1 << 6;
const ETHERTYPE_VLAN: u16 = 0x8100;
/// Offsets in `struct tpacket_block_desc`.
const BLOCK_STATUS: usize = 8;
const BLOCK_PACKETS: usize = 12;
const BLOCK_FIRST: usize = 16;
/// Length of `struct tpacket3_hdr`; `struct sockaddr_ll` follows.
const HEADER: usize = 48;

/// One frame as it lies in the ring.
pub struct Frame<'a> {
    pub ifindex: u32,
    pub outgoing: bool,
    /// Nanoseconds of CLOCK_REALTIME.
    pub real_ns: i64,
    /// Length on the wire, without a VLAN tag that the kernel keeps apart.
    pub wire_len: u32,
    pub data: &'a [u8],
    /// The VLAN tag that the kernel took out: TPID and TCI.
    pub vlan: Option<(u16, u16)>,
}

pub struct Ring {
    socket: OwnedFd,
    memory: NonNull<u8>,
    blocks: usize,
    /// The block to read next, how many of its frames were read, and where the following one starts.
    block: usize,
    seen: u32,
    at: usize,
    /// How many blocks have been handed back.
    pub released: u64,
    drops: u64,
}

// SAFETY: the mapping belongs to this ring alone, whichever thread it is used from.
unsafe impl Send for Ring {}

impl Ring {
    /// Capture on all interfaces of the current namespace. A block that is not full is handed over after `retire_ms`.
    pub fn open(bytes: u32, retire_ms: u32) -> io::Result<Self> {
        const PACKET_VERSION: i32 = 10;
        const PACKET_RX_RING: i32 = 5;
        const TPACKET_V3: i32 = 2;
        let blocks = (bytes as usize / BLOCK).max(4);
        let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        let fd = socket.as_fd();
        sys::setsockopt(fd, libc::SOL_PACKET, PACKET_VERSION, &TPACKET_V3.to_ne_bytes())?;
        // struct tpacket_req3: block_size, block_nr, frame_size, frame_nr, retire_blk_tov, sizeof_priv, features.
        let frames = blocks * (BLOCK / FRAME);
        let words = [BLOCK as u32, blocks as u32, FRAME as u32, frames as u32, retire_ms, 0, 0];
        let request: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        sys::setsockopt(fd, libc::SOL_PACKET, PACKET_RX_RING, &request)?;
        let memory = sys::map_shared(fd, blocks * BLOCK)?;
        Ok(Ring { socket, memory, blocks, block: 0, seen: 0, at: 0, released: 0, drops: 0 })
    }

    /// Let frames in, after filters are in place.
    pub fn start(&self) -> io::Result<()> {
        let mut address = [0; 20];
        address[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
        address[2..4].copy_from_slice(&(libc::ETH_P_ALL as u16).to_be_bytes());
        sys::bind(self.fd(), &address)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Keep only `length` bytes of frames on these interfaces, or on all, from now on (a classic BPF program).
    pub fn truncate(&self, interfaces: Option<&[u32]>, length: u32) -> io::Result<()> {
        const LOAD: u16 = 0x20;
        const JUMP_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const SKF_AD_IFINDEX: u32 = (-0x1000_i32 + 8) as u32;
        let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut program = Vec::new();
        if let Some(interfaces) = interfaces {
            program.push(op(LOAD, 0, 0, SKF_AD_IFINDEX));
            for &index in interfaces {
                program.extend([op(JUMP_EQUAL, 0, 1, index), op(RETURN, 0, 0, length)]);
            }
        }
        program.push(op(RETURN, 0, 0, if interfaces.is_some() { u32::MAX } else { length }));
        sys::attach_filter(self.fd(), &mut program)
    }

    /// Hand every frame of the full blocks to `take`; with `partial` those of the block being filled, too.
    ///
    /// `partial` is only right where the kernel cannot fill a block at the same time: in a guest, which has one CPU.
    pub fn read(&mut self, partial: bool, mut take: impl FnMut(&Frame<'_>)) {
        loop {
            let full = self.word(BLOCK_STATUS).load(Ordering::Acquire) & STATUS_USER != 0;
            if full || partial {
                self.walk(&mut take);
            }
            if !full {
                return;
            }
            self.word(BLOCK_PACKETS).store(0, Ordering::Relaxed);
            self.word(BLOCK_STATUS).store(0, Ordering::Release);
            self.block = (self.block + 1) % self.blocks;
            self.seen = 0;
            self.released += 1;
        }
    }

    /// True while the block being filled holds frames that nobody has read.
    pub fn is_filling(&self) -> bool {
        self.word(BLOCK_PACKETS).load(Ordering::Acquire) > self.seen
    }

    /// Frames lost so far because the ring was full.
    pub fn drops(&mut self) -> io::Result<u64> {
        const PACKET_STATISTICS: i32 = 6;
        // struct tpacket_stats_v3: packets, drops, freezes; reading resets them.
        let value = sys::getsockopt(self.fd(), libc::SOL_PACKET, PACKET_STATISTICS, 12)?;
        if let Some(count) = value.get(4..8) {
            self.drops += u64::from(u32::from_ne_bytes([count[0], count[1], count[2], count[3]]));
        }
        Ok(self.drops)
    }

    /// A word of the current block's header, which the kernel writes too.
    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the mapping holds `blocks` blocks for as long as self lives, `block` is below that, and the header's
        // words are aligned; the kernel and we share them as 32-bit words.
        unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(self.block * BLOCK + offset).cast()) }
    }

    /// The bytes of the current block. The frames in it are not written any more once they are counted (and the block
    /// is handed over, or this is the only CPU).
    fn bytes(&self) -> &[u8] {
        // SAFETY: in bounds as in `word`; the caller reads only frames that the kernel has finished.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(self.block * BLOCK), BLOCK) }
    }

    fn walk(&mut self, take: &mut impl FnMut(&Frame<'_>)) {
        let count = self.word(BLOCK_PACKETS).load(Ordering::Acquire);
        if self.seen == 0 {
            self.at = self.word(BLOCK_FIRST).load(Ordering::Relaxed) as usize;
        }
        while self.seen < count {
            let Some((frame, next)) = parse(self.bytes(), self.at) else {
                // What cannot be read is lost, and must be told of.
                self.drops += u64::from(count - self.seen);
                self.seen = count;
                return;
            };
            take(&frame);
            self.at += next;
            self.seen += 1;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        sys::unmap(self.memory, self.blocks * BLOCK);
    }
}

/// The frame whose header is at an offset, and the distance to the next one.
fn parse(block: &[u8], at: usize) -> Option<(Frame<'_>, usize)> {
    let header = block.get(at..at + HEADER + 12)?;
    let u32_at = |o: usize| u32::from_ne_bytes([header[o], header[o + 1], header[o + 2], header[o + 3]]);
    let u16_at = |o: usize| u16::from_ne_bytes([header[o], header[o + 1]]);
    let (length, mac, status) = (u32_at(12) as usize, usize::from(u16_at(24)), u32_at(20));
    let vlan = (status & STATUS_VLAN_VALID != 0).then(|| {
        let tpid = if status & STATUS_VLAN_TPID_VALID != 0 { u16_at(36) } else { ETHERTYPE_VLAN };
        (tpid, u32_at(32) as u16)
    });
    let frame = Frame {
        ifindex: u32_at(HEADER + 4),
        outgoing: header[HEADER + 10] == PACKET_OUTGOING,
        real_ns: i64::from(u32_at(4)) * 1_000_000_000 + i64::from(u32_at(8)),
        wire_len: u32_at(16),
        data: block.get(at + mac..at + mac + length)?,
        vlan,
    };
    Some((frame, u32_at(0) as usize))
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_outside_the_block_is_no_frame() {
        assert!(parse(&[0; 40], 0).is_none());
        assert!(parse(&[0; 4096], 4090).is_none());
    }

    #[test]
    fn a_frame_is_read_from_its_header() {
        let mut block = vec![0_u8; 256];
        for (offset, word) in [(0, 96_u32), (4, 2), (8, 5), (12, 3), (16, 60), (20, 1 << 4), (32, 7), (HEADER + 4, 9)] {
            block[offset..offset + 4].copy_from_slice(&word.to_ne_bytes());
        }
        block[24..26].copy_from_slice(&80_u16.to_ne_bytes());
        block[HEADER + 10] = PACKET_OUTGOING;
        block[80..83].copy_from_slice(b"abc");
        let (frame, next) = parse(&block, 0).unwrap();
        assert_eq!((next, frame.ifindex, frame.outgoing, frame.wire_len), (96, 9, true, 60));
        assert_eq!((frame.data, frame.real_ns, frame.vlan), (&b"abc"[..], 2_000_000_005, Some((0x8100, 7))));
    }
}
