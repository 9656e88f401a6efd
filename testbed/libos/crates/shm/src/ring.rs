// SPDX-License-Identifier: MIT
//! A ring of bytes with one writer and one reader, each of which keeps a copy of the other's counter.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
use std::cell::Cell;
use std::sync::atomic::Ordering;

use queue::Errno;

use crate::layout::{Counters, CAPACITY};

const _: () = assert!(CAPACITY.is_power_of_two());

/// Most bytes that can lie in a ring.
const LARGEST: u64 = CAPACITY as u64;

/// The writing end's own memory.
#[derive(Debug, Default)]
pub struct Writer {
    written: Cell<u64>,
    read: Cell<u64>,
}

/// The reading end's own memory.
#[derive(Debug, Default)]
pub struct Reader {
    written: Cell<u64>,
    read: Cell<u64>,
}

impl Writer {
    /// Copy as much as there is room for into the ring; how much that was.
    ///
    /// # Errors
    /// `EPROTO`: the other process wrote nonsense into the shared counters.
    ///
    /// # Safety
    /// `data` points to `CAPACITY` bytes that belong to this ring, and nobody else writes into it.
    #[inline(always)]
    pub unsafe fn write(&self, counters: &Counters, data: *mut u8, bytes: &[u8]) -> Result<usize, Errno> {
        let written = self.written.get();
        let mut room = CAPACITY.wrapping_sub(written.wrapping_sub(self.read.get()) as usize);
        if room <= bytes.len() {
            let read = counters.read.0.load(Ordering::Acquire);
            room = CAPACITY.checked_sub(written.wrapping_sub(read) as usize).ok_or(Errno::EPROTO)?;
            self.read.set(read);
        }
        let count = bytes.len().min(room);
        let at = written as usize & (CAPACITY - 1);
        let first = count.min(CAPACITY - at);
        // SAFETY: `at + first` and `count - first` are within the ring; the reader does not touch bytes that it was not
        // shown, and our caller's slice is not shared memory.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.add(at), first);
            if first < count {
                std::ptr::copy_nonoverlapping(bytes.as_ptr().add(first), data, count - first);
            }
        }
        self.written.set(written + count as u64);
        counters.written.0.store(written + count as u64, Ordering::Release);
        // SAFETY: as above.
        Ok(count)
    }
}

impl Reader {
    /// Copy as much as there is, and `into` has room for; how much that was.
    ///
    /// # Errors
    /// `EPROTO`: the other process wrote nonsense into the shared counters.
    ///
    /// # Safety
    /// `data` points to `CAPACITY` bytes that belong to this ring, and nobody else reads from it.
    #[inline(always)]
    pub unsafe fn read(&self, counters: &Counters, data: *const u8, into: &mut [u8]) -> Result<usize, Errno> {
        let read = self.read.get();
        if self.written.get() == read {
            let written = counters.written.0.load(Ordering::Acquire);
            if written.wrapping_sub(read) > LARGEST {
                return Err(Errno::EPROTO);
            }
            self.written.set(written);
        }
        let count = into.len().min((self.written.get() - read) as usize);
        let at = read as usize & (CAPACITY - 1);
        if count == 0 {
            return Ok(0);
        }
        let first = count.min(CAPACITY - at);
        // SAFETY: as in `write`; the writer does not touch what was not read yet.
        unsafe {
            std::ptr::copy_nonoverlapping(data.add(at), into.as_mut_ptr(), first);
            if first < count {
                std::ptr::copy_nonoverlapping(data, into.as_mut_ptr().add(first), count - first);
            }
        }
        self.read.set(read + count as u64);
        counters.read.0.store(read + count as u64, Ordering::Release);
        Ok(count)
    }

    /// How many bytes lie unread in the ring; 0 also where the counters are nonsense, which [`Reader::read`] tells.
    ///
    /// # Safety
    /// `data` points to `CAPACITY` bytes that belong to this ring.
    #[inline(always)]
    pub unsafe fn waiting(&self, counters: &Counters, data: *const u8) -> usize {
        let read = self.read.get();
        match counters.written.0.load(Ordering::Acquire).wrapping_sub(read) {
            count @ 1..=LARGEST => count as usize,
            _ => {
                // The first byte comes with the counter, not after it: whoever looks asks for both.
                // SAFETY: a hint, within the ring.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(data.add(read as usize & (CAPACITY - 1)).cast());
                }
                0
            }
        }
    }
}
