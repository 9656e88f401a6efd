// SPDX-License-Identifier: MIT
//! Buffers that an I/O path fills, and the pool that they come from and go back to.

/// Bytes of a fixed capacity, filled from the front.
///
/// One word: it goes by many hands (a path's, an operation's, the program's), and what is written word by word and read in
/// one piece right after costs more time than a look behind a pointer.
#[derive(Debug)]
pub struct Buffer(Box<Content>);

#[derive(Debug)]
struct Content {
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    /// An empty buffer that can take `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Buffer {
        Buffer(Box::new(Content { bytes: vec![0; capacity].into_boxed_slice(), len: 0 }))
    }

    pub fn capacity(&self) -> usize {
        self.0.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.0.len
    }

    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// What was filled.
    #[inline(always)]
    pub fn filled(&self) -> &[u8] {
        &self.0.bytes[..self.0.len]
    }

    /// What was filled, to be changed.
    #[inline(always)]
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.0.bytes[..self.0.len]
    }

    /// The room behind what was filled: write there, then say how much by [`Buffer::advance`].
    #[inline(always)]
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.0.bytes[self.0.len..]
    }

    /// Count `count` bytes of the room as filled.
    ///
    /// # Panics
    /// There is less room.
    #[inline(always)]
    pub fn advance(&mut self, count: usize) {
        let room = self.0.bytes.len() - self.0.len;
        if count > room {
            overrun(count, room);
        }
        self.0.len += count;
    }

    /// Copy as much of `bytes` as there is room for; how much that was.
    #[inline(always)]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.0.bytes.len() - self.0.len);
        self.0.bytes[self.0.len..self.0.len + count].copy_from_slice(&bytes[..count]);
        self.0.len += count;
        count
    }

    /// Forget what was filled.
    pub fn clear(&mut self) {
        self.0.len = 0;
    }
}

#[cold]
#[inline(never)]
fn overrun(count: usize, room: usize) -> ! {
    panic!("advance by {count} bytes, room for {room}");
}

/// Bytes offered for a push: only looked at where the path takes them at once, kept as a `B` where it does not.
pub trait Offer<B> {
    fn bytes(&self) -> &[u8];

    /// Keep them, at the same place, until the push is done.
    fn keep(self) -> B;
}

impl<B: AsRef<[u8]>> Offer<B> for B {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }

    fn keep(self) -> B {
        self
    }
}

/// What a buffer of each class can take, in bytes: a frame; a jumbo frame; a whole UDP datagram (RFC 768: at most 65535).
const CLASSES: [usize; 3] = [2048, 16384, 65536];
/// So many free bytes of each class are kept, the rest goes back to the allocator.
const KEPT_BYTES: usize = 16 << 20;
/// The same in buffers; a table, because a division takes as long as all else that is done with a buffer that comes back.
const KEPT: [usize; CLASSES.len()] = [KEPT_BYTES / CLASSES[0], KEPT_BYTES / CLASSES[1], KEPT_BYTES / CLASSES[2]];

/// Free buffers by class, so that a push or pop in steady state allocates nothing.
#[derive(Debug, Default)]
pub struct Pool {
    free: [Vec<Buffer>; CLASSES.len()],
}

impl Pool {
    /// What the largest pooled buffer can take, in bytes; no datagram is longer.
    pub const LARGEST: usize = CLASSES[CLASSES.len() - 1];
    /// What the smallest pooled buffer can take, in bytes.
    pub const SMALLEST: usize = CLASSES[0];

    /// An empty buffer that can take at least `capacity` bytes.
    #[inline(always)]
    pub fn take(&mut self, capacity: usize) -> Buffer {
        match CLASSES.iter().position(|&class| capacity <= class) {
            Some(at) => self.free[at].pop().unwrap_or_else(|| Buffer::with_capacity(CLASSES[at])),
            None => Buffer::with_capacity(capacity),
        }
    }

    /// As [`Pool::take`], or nothing where the machine has no such memory.
    pub fn try_take(&mut self, capacity: usize) -> Option<Buffer> {
        if capacity > Pool::LARGEST {
            Vec::<u8>::new().try_reserve_exact(capacity).ok()?;
        }
        Some(self.take(capacity))
    }

    /// Take a buffer back; one of no class is let go.
    #[inline(always)]
    pub fn give(&mut self, mut buffer: Buffer) {
        let Some(at) = CLASSES.iter().position(|&class| class == buffer.capacity()) else { return };
        if self.free[at].len() < KEPT[at] {
            buffer.clear();
            self.free[at].push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_from_the_front() {
        let mut buffer = Buffer::with_capacity(4);
        assert_eq!(buffer.append(b"ab"), 2);
        buffer.spare()[0] = b'c';
        buffer.advance(1);
        assert_eq!(buffer.append(b"de"), 1);
        assert_eq!(buffer.filled(), b"abcd");
        buffer.clear();
        assert!(buffer.is_empty());
    }

    #[test]
    #[should_panic(expected = "advance by 3 bytes, room for 2")]
    fn refuses_to_count_more_than_its_room() {
        Buffer::with_capacity(2).advance(3);
    }

    #[test]
    fn a_pool_gives_back_what_it_took() {
        let mut pool = Pool::default();
        let mut first = pool.take(64);
        assert_eq!(first.capacity(), Pool::SMALLEST);
        first.append(b"old");
        let address = first.filled().as_ptr();
        pool.give(first);
        let again = pool.take(1460);
        assert!(again.is_empty());
        assert_eq!(again.0.bytes.as_ptr(), address);
        assert_eq!(pool.take(Pool::LARGEST + 1).capacity(), Pool::LARGEST + 1);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri ends where its own memory does")]
    fn a_pool_knows_when_there_is_no_memory() {
        let mut pool = Pool::default();
        assert!(pool.try_take(isize::MAX as usize).is_none());
        assert_eq!(pool.try_take(1 << 20).unwrap().capacity(), 1 << 20);
    }

    #[test]
    fn a_pool_keeps_no_more_than_its_share() {
        let mut pool = Pool::default();
        for _ in 0..KEPT_BYTES / Pool::LARGEST + 1 {
            pool.give(Buffer::with_capacity(Pool::LARGEST));
        }
        assert_eq!(pool.free[2].len(), KEPT_BYTES / Pool::LARGEST);
        pool.give(Buffer::with_capacity(3));
    }
}
