// SPDX-License-Identifier: MIT
//! What lies in the shared memory.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes that one ring holds: four of the longest messages that the suites send.
pub const CAPACITY: usize = 256 << 10;
/// Where the rings' bytes start, behind the header.
pub const DATA: usize = 4096;

/// A side's state: nobody was there yet (0, as fresh memory is), somebody is, said goodbye, or broke off.
pub const ABSENT: u32 = 0;
pub const OPEN: u32 = 1;
pub const CLOSED: u32 = 2;
pub const RESET: u32 = 3;

/// What a sleeper wants to be woken for.
pub const WANTS_BYTES: u32 = 1;
pub const WANTS_ROOM: u32 = 2;

/// A header that other processes change while we look at it.
///
/// # Safety
/// All fields are atomics, or arrays and structures of atomics; zeros are a value; it fits into [`DATA`] bytes.
pub unsafe trait Shared {
    /// Says what the region is, and which layout it has: an object of another version is refused.
    const MAGIC: u64;
    /// Length of the whole object, in bytes.
    const LENGTH: usize;

    /// Where the magic number is; it is written last.
    fn magic(&self) -> &AtomicU64;
}

/// One process's part: on cache lines of its own (two, for the prefetcher of neighbours).
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Side {
    pub state: AtomicU32,
    /// What its engine sleeps for; 0 while it is awake.
    pub sleeping: AtomicU32,
    /// The number of its engine's doorbell.
    pub bell: AtomicU64,
    /// IPv4 address (upper 32 bits) and port of a socket.
    pub address: AtomicU64,
}

/// Alone on its cache lines.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Line<T>(pub T);

/// Bytes that were ever written and read; the difference lies in the ring.
#[repr(C)]
#[derive(Debug)]
pub struct Counters {
    pub written: Line<AtomicU64>,
    pub read: Line<AtomicU64>,
}

/// Two ends, and a ring from each to the other.
#[repr(C)]
#[derive(Debug)]
pub struct Duplex {
    magic: AtomicU64,
    pub sides: [Side; 2],
    /// Ring 0 is written by side 0.
    pub rings: [Counters; 2],
}

const _: () = assert!(std::mem::size_of::<Duplex>() <= DATA);

// SAFETY: atomics only; the size is asserted above.
unsafe impl Shared for Duplex {
    const MAGIC: u64 = u64::from_le_bytes(*b"tbpipe01");
    const LENGTH: usize = DATA + 2 * CAPACITY;

    fn magic(&self) -> &AtomicU64 {
        &self.magic
    }
}
