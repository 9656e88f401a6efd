// SPDX-License-Identifier: MIT
//! The scatter-gather arrays that a program holds: each has a handle, so that what is none of ours is recognised.

use std::cell::RefCell;
use std::ffi::c_void;
use std::rc::Rc;

use queue::{Buffer, Errno, Offer};

use crate::layout::{Segment, SgArray, SockAddrIn};

/// A buffer that the program holds.
#[derive(Default)]
struct Slot {
    /// Changes whenever the slot is used anew, so that an old handle is noticed.
    generation: u32,
    buffer: Option<Buffer>,
    /// Pushes under way that read it.
    pins: u32,
    /// The program has freed it; it goes when the last push is done.
    freed: bool,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Freed during a push, and not back in the engine's pool yet.
    late: Vec<Buffer>,
}

/// All arrays of one engine. Handles are never dereferenced: the upper half is the generation, the lower the slot + 1.
#[derive(Default)]
pub struct Memory {
    slots: RefCell<Slots>,
}

impl Memory {
    /// Hand a buffer to the program.
    #[inline(always)]
    pub fn hand_out(&self, buffer: Buffer, addr: SockAddrIn) -> SgArray {
        let slots = &mut *self.slots.borrow_mut();
        let index = slots.free.pop().unwrap_or_else(|| {
            slots.slots.push(Slot::default());
            slots.slots.len() as u32 - 1
        });
        let slot = &mut slots.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let bytes = slot.buffer.insert(buffer).filled_mut();
        SgArray {
            buf: handle(index, slot.generation),
            numsegs: 1,
            segs: [Segment { buf: bytes.as_mut_ptr().cast(), len: bytes.len() as u32 }],
            addr,
        }
    }

    /// Take an array back: its buffer, unless a push still reads it. `EINVAL` where it is none of ours, or not any more.
    #[inline(always)]
    pub fn take_back(&self, buf: *const c_void) -> Result<Option<Buffer>, Errno> {
        let slots = &mut *self.slots.borrow_mut();
        let (index, slot) = slots.find(buf)?;
        if slot.pins > 0 {
            slot.freed = true;
            return Ok(None);
        }
        let buffer = slot.buffer.take();
        slots.free.push(index);
        Ok(buffer)
    }

    /// Buffers that were freed during a push that is over.
    pub fn late(&self) -> Option<Buffer> {
        self.slots.borrow_mut().late.pop()
    }

    /// What is to be pushed: part of one of our arrays (checked), or memory of the program's own.
    ///
    /// # Safety
    /// Memory of the program's own is readable, and stays as it is until the push is done. Of ours nothing is freed while
    /// the offer stands.
    #[inline(always)]
    pub unsafe fn offer(self: &Rc<Memory>, array: SgArray) -> Result<Offered<'_>, Errno> {
        let Segment { buf, len } = array.segs[0];
        let len = len as usize;
        if array.numsegs != 1 || buf.is_null() || len == 0 {
            return Err(Errno::EINVAL);
        }
        let start = buf.cast_const().cast::<u8>();
        if array.buf.is_null() {
            return Ok(Offered { start, len, part_of: None });
        }
        let slots = &mut *self.slots.borrow_mut();
        let (index, slot) = slots.find(array.buf)?;
        let Some(buffer) = &slot.buffer else { return Err(Errno::EINVAL) };
        let whole = buffer.filled().as_ptr_range();
        // Integers, because a bad length may lead beyond the address space.
        let end = (start as usize).checked_add(len).ok_or(Errno::EINVAL)?;
        if (start as usize) < whole.start as usize || end > whole.end as usize {
            return Err(Errno::EINVAL);
        }
        Ok(Offered { start, len, part_of: Some((self, index)) })
    }

    fn unpin(&self, index: u32) {
        let slots = &mut *self.slots.borrow_mut();
        let slot = &mut slots.slots[index as usize];
        slot.pins -= 1;
        if slot.pins == 0 && slot.freed {
            slot.freed = false;
            slots.late.extend(slot.buffer.take());
            slots.free.push(index);
        }
    }
}

impl Slots {
    /// The slot of a handle that the program still may use.
    fn find(&mut self, buf: *const c_void) -> Result<(u32, &mut Slot), Errno> {
        let number = buf as usize;
        let index = (number as u32).checked_sub(1).ok_or(Errno::EINVAL)?;
        match self.slots.get_mut(index as usize) {
            Some(slot) if slot.generation == (number >> 32) as u32 && slot.buffer.is_some() && !slot.freed => {
                Ok((index, slot))
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

fn handle(index: u32, generation: u32) -> *mut c_void {
    ((generation as usize) << 32 | (index as usize + 1)) as *mut c_void
}

/// Bytes that a push is to send.
pub struct Offered<'a> {
    start: *const u8,
    len: usize,
    part_of: Option<(&'a Rc<Memory>, u32)>,
}

impl Offer<Pinned> for Offered<'_> {
    fn bytes(&self) -> &[u8] {
        // SAFETY: one of our buffers, which is there as long as the offer (`Memory::offer`), checked to be inside it; or the
        // program's memory, which it promised (demi.h) to leave alone until the push is done. The pointer is not null.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    fn keep(self) -> Pinned {
        let held = self.part_of.map(|(memory, index)| {
            memory.slots.borrow_mut().slots[index as usize].pins += 1;
            (Rc::clone(memory), index)
        });
        Pinned { start: self.start, len: self.len, held }
    }
}

/// Bytes of a push under way.
pub struct Pinned {
    start: *const u8,
    len: usize,
    held: Option<(Rc<Memory>, u32)>,
}

impl AsRef<[u8]> for Pinned {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as of an offer; our buffer is kept by the pin.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some((memory, index)) = self.held.take() {
            memory.unpin(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(memory: &Memory, bytes: &[u8]) -> SgArray {
        let mut buffer = Buffer::with_capacity(64);
        buffer.append(bytes);
        memory.hand_out(buffer, SockAddrIn::NONE)
    }

    fn pin(memory: &Rc<Memory>, array: SgArray) -> Result<Pinned, Errno> {
        // SAFETY: the arrays of these tests are the memory's own or static.
        unsafe { memory.offer(array) }.map(Offer::keep)
    }

    #[test]
    fn a_handle_is_good_once() {
        let memory = Memory::default();
        let first = array(&memory, b"one");
        assert_eq!(memory.take_back(first.buf).unwrap().unwrap().filled(), b"one");
        assert!(memory.take_back(first.buf).is_err());
        let second = array(&memory, b"two");
        assert!(memory.take_back(first.buf).is_err(), "the slot is in use again, under another handle");
        assert!(memory.take_back(second.buf).is_ok());
        for foreign in [std::ptr::null(), std::ptr::dangling(), (&raw const first).cast()] {
            assert!(memory.take_back(foreign).is_err());
        }
    }

    #[test]
    fn an_array_freed_during_a_push_goes_after_it() {
        let memory = Rc::new(Memory::default());
        let ours = array(&memory, b"bytes");
        let (one, two) = (pin(&memory, ours).unwrap(), pin(&memory, ours).unwrap());
        assert!(memory.take_back(ours.buf).unwrap().is_none());
        assert!(memory.take_back(ours.buf).is_err() && pin(&memory, ours).is_err());
        drop(one);
        assert!(memory.late().is_none());
        assert_eq!(two.as_ref(), b"bytes");
        drop(two);
        assert_eq!(memory.late().unwrap().filled(), b"bytes");
    }

    #[test]
    fn only_what_is_inside_an_array_can_be_pushed() {
        let memory = Rc::new(Memory::default());
        let ours = array(&memory, b"0123456789");
        let part = |skip: usize, len: u32| {
            let start = ours.segs[0].buf.cast::<u8>().wrapping_add(skip).cast();
            SgArray { segs: [Segment { buf: start, len }], ..ours }
        };
        assert_eq!(pin(&memory, part(2, 3)).unwrap().as_ref(), b"234");
        for bad in [part(0, 11), part(10, 1), part(usize::MAX, 2), part(0, u32::MAX), part(0, 0)] {
            assert_eq!(pin(&memory, bad).err(), Some(Errno::EINVAL));
        }
        assert_eq!(pin(&memory, SgArray { numsegs: 2, ..ours }).err(), Some(Errno::EINVAL));
        assert_eq!(pin(&memory, SgArray::NONE).err(), Some(Errno::EINVAL));
    }

    #[test]
    fn memory_of_the_program_s_own_can_be_pushed() {
        let memory = Rc::new(Memory::default());
        let own = b"static";
        let segment = Segment { buf: own.as_ptr().cast_mut().cast(), len: 6 };
        let pinned = pin(&memory, SgArray { numsegs: 1, segs: [segment], ..SgArray::NONE }).unwrap();
        assert_eq!(pinned.as_ref(), own);
    }
}
