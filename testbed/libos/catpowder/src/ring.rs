// SPDX-License-Identifier: MIT
//! Receiving: a ring of frames shared with the kernel (`PACKET_RX_RING`, kernel's Documentation/networking/packet_mmap.rst).
//!
//! Version 2, because version 3 hands frames over by the block, and a block that is not full only after a millisecond or more.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use inetstack::{FrameReceiver, ETHERNET_HEADER_BYTES};
use queue::Errno;

use crate::checksum;
use crate::interface::set_option;

/// Of the whole ring; a sender's window of 512 KiB fits twice. What is larger than a CPU's cache is slower.
const RING_BYTES: usize = 2 << 20;
/// A block holds whole slots, and is of whole pages.
const BLOCK_BYTES: usize = 1 << 16;
/// What the kernel keeps in front of a frame: its header and an address, aligned, and room to align the IP header.
const HEADROOM_BYTES: usize = libc::TPACKET2_HDRLEN + 32;
/// A slot holds no longer frame: of two lengths that a VLAN's peer or a mistaken MTU may send.
const LEAST_SLOT_BYTES: usize = 2048;

/// A ring that the kernel fills.
pub struct Ring {
    base: NonNull<u8>,
    slot_bytes: usize,
    slots: usize,
    /// The slot to look at next.
    next: usize,
    /// The slot that is still read by whoever received it.
    lent: Option<usize>,
    /// Keeps the descriptor open as long as its ring is mapped.
    _socket: Rc<OwnedFd>,
}

impl Ring {
    /// Makes the ring of a raw socket that is not bound yet.
    pub fn map(socket: Rc<OwnedFd>, mtu: usize) -> Result<Self, Errno> {
        let fd = socket.as_raw_fd();
        let slot_bytes = (mtu + ETHERNET_HEADER_BYTES + HEADROOM_BYTES).next_power_of_two().max(LEAST_SLOT_BYTES);
        let block_bytes = BLOCK_BYTES.max(slot_bytes);
        let slots = RING_BYTES / slot_bytes;
        let count = |number: usize| u32::try_from(number).map_err(|_| Errno::EINVAL);
        let request = libc::tpacket_req {
            tp_block_size: count(block_bytes)?,
            tp_block_nr: count(RING_BYTES / block_bytes)?,
            tp_frame_size: count(slot_bytes)?,
            tp_frame_nr: count(slots)?,
        };
        let version = libc::tpacket_versions::TPACKET_V2 as i32;
        set_option(fd, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at a place of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), RING_BYTES, rights, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        let base = NonNull::new(base.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Self { base, slot_bytes, slots, next: 0, lent: None, _socket: socket })
    }

    /// The header of a slot.
    fn header(&self, slot: usize) -> *mut libc::tpacket2_hdr {
        debug_assert!(slot < self.slots);
        // SAFETY: slots lie one behind the other in the mapping, each with room for a header, aligned to 16.
        unsafe { self.base.as_ptr().add(slot * self.slot_bytes).cast() }
    }

    /// The word by which a slot changes hands; it is shared with the kernel.
    fn status(&self, slot: usize) -> &AtomicU32 {
        // SAFETY: the status is the header's first member, aligned, and mapped as long as the ring lives.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header(slot)).tp_status) }
    }

    /// Gives the slot that was lent last back to the kernel.
    fn give_back(&mut self) {
        if let Some(slot) = self.lent.take() {
            self.status(slot).store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    /// Takes the next slot from the kernel: its status and where its frame is, in bytes from the slot's start.
    fn take(&mut self) -> Option<(usize, u32, usize, usize)> {
        let slot = self.next;
        let status = self.status(slot).load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the kernel has handed the slot over; it wrote the header before the status.
        let header = unsafe { self.header(slot).read() };
        self.next = if slot + 1 == self.slots { 0 } else { slot + 1 };
        self.lent = Some(slot);
        let (start, length) = (usize::from(header.tp_mac), header.tp_snaplen as usize);
        let whole = header.tp_snaplen == header.tp_len && start + length <= self.slot_bytes;
        // The kernel takes the tag out of a VLAN's frame; what is left would pass for a frame of ours.
        let tagged = status & libc::TP_STATUS_VLAN_VALID != 0 && header.tp_vlan_tci & 0xfff != 0;
        if !whole {
            log::warn!("a frame of {} bytes is too long for the ring: offloads of the peer?", header.tp_len);
        }
        Some((slot, status, start, if whole && !tagged { length } else { 0 }))
    }
}

impl FrameReceiver for Ring {
    fn receive(&mut self) -> Option<&[u8]> {
        loop {
            self.give_back();
            let Some((slot, status, start, length)) = self.take() else {
                // The kernel is about to fill the slot that was just looked at: its cache line is not taken away at once.
                std::hint::spin_loop();
                return None;
            };
            if length == 0 {
                continue;
            }
            // SAFETY: the frame lies in the slot (`take` checked that), which is ours until it is given back; that needs
            // `&mut self`, so not while the slice lives.
            let frame = unsafe {
                let first = self.base.as_ptr().add(slot * self.slot_bytes + start);
                std::slice::from_raw_parts_mut(first, length)
            };
            if status & libc::TP_STATUS_CSUMNOTREADY != 0 {
                checksum::complete(frame);
            }
            return Some(frame);
        }
    }

    fn is_waiting(&mut self) -> bool {
        self.status(self.next).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; nothing borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), RING_BYTES) };
    }
}
