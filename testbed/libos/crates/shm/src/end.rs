// SPDX-License-Identifier: MIT
//! One end of a duplex region.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use queue::{Buffer, Errno};

use crate::bell::Bell;
use crate::hub::{ring, Hub, Sleeper};
use crate::layout::{Duplex, Side, ABSENT, CAPACITY, CLOSED, OPEN, RESET, WANTS_BYTES, WANTS_ROOM};
use crate::region::{Lock, Region, OWNER};
use crate::ring::{Reader, Writer};

/// The second end's sign of life; the first one's is that it owns the region.
const SECOND: Lock = Lock(1);

/// What a pop found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popped {
    Bytes,
    /// The other end was closed, and all its bytes were read.
    End,
    /// Nothing, for now.
    Nothing,
}

/// How an end is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The other end reads what is left, then sees the end.
    Orderly,
    /// The other end's operations fail with `ECONNRESET` once what is left was read.
    Reset,
}

/// An end of a pipe or connection. Dropped without a word, it is closed orderly.
#[derive(Debug)]
pub struct End(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    region: Region<Duplex>,
    bell: Rc<Bell>,
    /// 0: we made the region.
    side: usize,
    writer: Writer,
    reader: Reader,
    /// The last push found no room.
    blocked: Cell<bool>,
    /// The other end's process died without closing.
    dead: Cell<bool>,
    /// What was there when `changed` was asked last.
    seen: Cell<(u64, u64, u32)>,
}

impl End {
    /// Make the region, as its first end.
    ///
    /// # Errors
    /// See [`Region::create`].
    pub fn create(hub: &mut Hub, name: &str) -> Result<End, Errno> {
        Ok(End::new(hub, Region::create(name)?, 0))
    }

    /// Open the region as its second end.
    ///
    /// # Errors
    /// See [`Region::open`]; `EBUSY`: it has a second end, or had one.
    pub fn attach(hub: &mut Hub, name: &str) -> Result<End, Errno> {
        let region = Region::<Duplex>::open(name)?;
        if !region.lock(SECOND)? || region.sides[1].state.load(Ordering::Acquire) != ABSENT {
            return Err(Errno::EBUSY);
        }
        Ok(End::new(hub, region, 1))
    }

    fn new(hub: &mut Hub, region: Region<Duplex>, side: usize) -> End {
        let inner = Rc::new(Inner {
            region,
            bell: Rc::clone(hub.bell()),
            side,
            writer: Writer::default(),
            reader: Reader::default(),
            blocked: Cell::new(false),
            dead: Cell::new(false),
            seen: Cell::new((0, 0, ABSENT)),
        });
        hub.watch(&inner);
        inner.ours().state.store(OPEN, Ordering::Release);
        ring(&inner.bell, inner.theirs(), WANTS_BYTES | WANTS_ROOM);
        End(inner)
    }

    /// Our side in the shared memory.
    pub fn ours(&self) -> &Side {
        self.0.ours()
    }

    /// The other side.
    pub fn theirs(&self) -> &Side {
        self.0.theirs()
    }

    /// Whether the other end was there at some time.
    pub fn met(&self) -> bool {
        self.theirs().state.load(Ordering::Acquire) != ABSENT
    }

    /// Copy into the ring what there is room for; how much that was.
    ///
    /// # Errors
    /// `ECONNRESET`: nobody will read it: the other end was closed, or its process died. `EPROTO`: see [`Writer::write`].
    #[inline(always)]
    pub fn push(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let inner = &*self.0;
        if inner.dead.get() || matches!(inner.theirs().state.load(Ordering::Acquire), CLOSED | RESET) {
            return Err(Errno::ECONNRESET);
        }
        let counters = inner.two(&inner.region.rings).0;
        // SAFETY: ring `side` belongs to us as its only writer; its bytes are the `side`th part behind the header.
        let count = unsafe { inner.writer.write(counters, inner.bytes_of(inner.side), bytes)? };
        inner.blocked.set(count < bytes.len());
        if count > 0 {
            ring(&inner.bell, inner.theirs(), WANTS_BYTES);
        }
        Ok(count)
    }

    /// Copy out of the ring what there is, as far as the buffer has room.
    ///
    /// # Errors
    /// `ECONNRESET`: all was read, and the other end broke off or died. `EPROTO`: see [`Reader::read`].
    #[inline(always)]
    pub fn pop(&self, into: &mut Buffer) -> Result<Popped, Errno> {
        if self.read(into)? {
            return Ok(Popped::Bytes);
        }
        let state = self.theirs().state.load(Ordering::Acquire);
        if state != CLOSED && state != RESET && !self.0.dead.get() {
            return Ok(Popped::Nothing);
        }
        if self.read(into)? {
            return Ok(Popped::Bytes); // written between our look and its last word
        }
        if state == CLOSED {
            Ok(Popped::End)
        } else {
            Err(Errno::ECONNRESET)
        }
    }

    #[inline(always)]
    fn read(&self, into: &mut Buffer) -> Result<bool, Errno> {
        let inner = &*self.0;
        let counters = inner.two(&inner.region.rings).1;
        // SAFETY: the other's ring has us as its only reader; its bytes are that part behind the header.
        let count = unsafe { inner.reader.read(counters, inner.bytes_of(inner.side ^ 1), into.spare())? };
        into.advance(count);
        if count > 0 {
            ring(&inner.bell, inner.theirs(), WANTS_ROOM);
        }
        Ok(count > 0)
    }

    /// How many bytes came that nobody popped.
    #[inline(always)]
    pub fn waiting(&self) -> usize {
        let inner = &*self.0;
        // SAFETY: as in `read`.
        unsafe { inner.reader.waiting(inner.two(&inner.region.rings).1, inner.bytes_of(inner.side ^ 1)) }
    }

    /// Say goodbye, or break off; the first word counts.
    pub fn close(&self, how: Close) {
        let word = if how == Close::Reset { RESET } else { CLOSED };
        let inner = &*self.0;
        if inner.ours().state.compare_exchange(OPEN, word, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            ring(&inner.bell, inner.theirs(), WANTS_BYTES | WANTS_ROOM);
        }
    }

    /// Take the region's name away; both ends keep it.
    pub fn unlink(&self) {
        self.0.region.unlink();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close(Close::Orderly);
    }
}

impl Inner {
    fn ours(&self) -> &Side {
        self.two(&self.region.sides).0
    }

    fn theirs(&self) -> &Side {
        self.two(&self.region.sides).1
    }

    /// Ours and the other's: what lies in the region lies there as a pair, that of side 0 first.
    #[inline(always)]
    fn two<'a, T>(&self, [first, second]: &'a [T; 2]) -> (&'a T, &'a T) {
        if self.side == 0 {
            (first, second)
        } else {
            (second, first)
        }
    }

    fn bytes_of(&self, ring: usize) -> *mut u8 {
        // SAFETY: the region is `DATA + 2 * CAPACITY` bytes long, and `ring` is 0 or 1.
        unsafe { self.region.data().add(ring * CAPACITY) }
    }
}

impl Sleeper for Inner {
    fn side(&self) -> &Side {
        self.ours()
    }

    fn wants(&self) -> u32 {
        WANTS_BYTES | if self.blocked.get() { WANTS_ROOM } else { 0 }
    }

    fn changed(&self) -> bool {
        let (ours, theirs) = self.two(&self.region.rings);
        let now = (
            theirs.written.0.load(Ordering::Acquire),
            ours.read.0.load(Ordering::Acquire),
            self.theirs().state.load(Ordering::Acquire),
        );
        self.seen.replace(now) != now
    }

    fn check(&self) {
        let sign = if self.side == 0 { SECOND } else { OWNER };
        if !self.dead.get() && !self.region.held(sign) && self.theirs().state.load(Ordering::Acquire) == OPEN {
            log::warn!("the process at the other end died");
            self.dead.set(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn pair(what: &str) -> (Hub, End, Hub, End) {
        let name = format!("end-{}-{what}", std::process::id());
        let (mut one, mut two) = (Hub::new().unwrap(), Hub::new().unwrap());
        let first = End::create(&mut one, &name).unwrap();
        let second = End::attach(&mut two, &name).unwrap();
        (one, first, two, second)
    }

    fn all(end: &End) -> Vec<u8> {
        let mut buffer = Buffer::with_capacity(1 << 20);
        while end.pop(&mut buffer) == Ok(Popped::Bytes) {}
        buffer.filled().to_vec()
    }

    #[test]
    fn bytes_come_out_as_they_went_in_across_the_ring_s_end() {
        let (_one, first, _two, second) = pair("wrap");
        let message: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
        for _ in 0..7 {
            assert_eq!(first.push(&message), Ok(message.len()));
            assert_eq!(second.push(&message[..9]), Ok(9));
            assert!(all(&second) == message && all(&first) == message[..9]);
        }
    }

    #[test]
    fn a_full_ring_takes_what_fits() {
        let (_one, first, _two, second) = pair("full");
        let big = vec![7; CAPACITY + 5];
        assert_eq!(first.push(&big), Ok(CAPACITY));
        assert_eq!(first.push(&big), Ok(0));
        let mut buffer = Buffer::with_capacity(100);
        assert_eq!(second.pop(&mut buffer), Ok(Popped::Bytes));
        assert_eq!(first.push(&big), Ok(100));
    }

    #[test]
    fn an_orderly_close_is_seen_after_the_last_byte() {
        let (_one, first, _two, second) = pair("close");
        first.push(b"last").unwrap();
        drop(first);
        let mut buffer = Buffer::with_capacity(10);
        assert_eq!((second.pop(&mut buffer), buffer.filled()), (Ok(Popped::Bytes), &b"last"[..]));
        assert_eq!((second.pop(&mut buffer), second.pop(&mut buffer)), (Ok(Popped::End), Ok(Popped::End)));
        assert_eq!(second.push(b"x"), Err(Errno::ECONNRESET));
    }

    #[test]
    fn a_reset_is_an_error_after_the_last_byte() {
        let (_one, first, _two, second) = pair("reset");
        first.push(b"last").unwrap();
        first.close(Close::Reset);
        let mut buffer = Buffer::with_capacity(10);
        assert_eq!(second.pop(&mut buffer), Ok(Popped::Bytes));
        assert_eq!(second.pop(&mut buffer), Err(Errno::ECONNRESET));
    }

    #[test]
    fn nonsense_in_the_counters_is_told() {
        let (_one, first, _two, second) = pair("nonsense");
        let mut buffer = Buffer::with_capacity(10);
        first.0.region.rings[0].written.0.store(u64::MAX / 2, Ordering::Release);
        assert_eq!(second.pop(&mut buffer), Err(Errno::EPROTO));
        first.0.region.rings[0].read.0.store(77, Ordering::Release);
        assert_eq!(first.push(&vec![0; CAPACITY]), Err(Errno::EPROTO));
    }

    #[test]
    fn a_third_end_is_refused() {
        let (_one, _first, mut two, second) = pair("third");
        let name = format!("end-{}-third", std::process::id());
        assert_eq!(End::attach(&mut two, &name).err(), Some(Errno::EBUSY));
        drop(second);
        assert_eq!(End::attach(&mut two, &name).err(), Some(Errno::EBUSY));
    }

    #[test]
    fn a_dead_end_is_noticed() {
        let (mut one, first, _two, second) = pair("dead");
        second.0.region.unlock(SECOND); // as the kernel does for a process that was killed
        let start = Instant::now();
        one.pulse(start);
        one.pulse(start + Duration::from_millis(50));
        let mut buffer = Buffer::with_capacity(10);
        assert_eq!(first.pop(&mut buffer), Ok(Popped::Nothing));
        one.pulse(start + Duration::from_millis(150));
        assert_eq!(first.pop(&mut buffer), Err(Errno::ECONNRESET));
        assert_eq!(first.push(b"x"), Err(Errno::ECONNRESET));
    }

    #[test]
    fn sleepers_are_woken_by_bytes_room_and_goodbyes() {
        let name = format!("end-{}-sleep", std::process::id());
        let mut one = Hub::new().unwrap();
        let first = End::create(&mut one, &name).unwrap();
        let big = vec![1; 3 * CAPACITY];
        let other = std::thread::spawn(move || {
            let mut two = Hub::new().unwrap();
            let second = End::attach(&mut two, &name).unwrap();
            let mut buffer = Buffer::with_capacity(4 * CAPACITY);
            while second.pop(&mut buffer) != Ok(Popped::End) {
                two.idle(Instant::now(), None);
            }
            buffer.len()
        });
        let mut sent = 0;
        while sent < big.len() {
            match first.push(&big[sent..]).unwrap() {
                0 => one.idle(Instant::now(), None),
                count => sent += count,
            }
        }
        drop(first);
        assert_eq!(other.join().unwrap(), big.len());
    }
}
