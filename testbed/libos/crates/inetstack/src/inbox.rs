// SPDX-License-Identifier: MIT
//! Datagrams that came and are not popped yet, in one piece of memory each: a ring of bytes, and where each begins.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

/// A datagram's place.
#[derive(Debug)]
struct Mark {
    from: SocketAddrV4,
    start: usize,
    end: usize,
}

/// What a socket has received, the oldest first.
#[derive(Debug)]
pub struct Inbox {
    bytes: Box<[u8]>,
    marks: VecDeque<Mark>,
    most: usize,
}

impl Inbox {
    /// Room for so many bytes in at most so many datagrams.
    pub fn new(bytes: usize, most: usize) -> Self {
        Self { bytes: vec![0; bytes].into_boxed_slice(), marks: VecDeque::new(), most }
    }

    /// Keeps a datagram; without room for it, it is lost, and says so.
    pub fn put(&mut self, from: SocketAddrV4, bytes: &[u8]) -> bool {
        let Some(start) = self.place(bytes.len()) else { return false };
        let end = start + bytes.len();
        self.bytes[start..end].copy_from_slice(bytes);
        self.marks.push_back(Mark { from, start, end });
        true
    }

    /// Where the next one goes: behind the last one, or in front again. With few at a time it is always the same place.
    fn place(&self, length: usize) -> Option<usize> {
        let (first, last) = match (self.marks.front(), self.marks.back()) {
            (Some(first), Some(last)) => (first, last),
            _ => return (length <= self.bytes.len()).then_some(0),
        };
        if self.marks.len() == self.most {
            return None;
        }
        // Before the first one a byte stays free, so that what begins before it has gone round.
        if last.start < first.start {
            return (length < first.start - last.end).then_some(last.end);
        }
        if length <= self.bytes.len() - last.end {
            return Some(last.end);
        }
        (length < first.start).then_some(0)
    }

    /// The length of the oldest one, of this sender where there is one; 0 without any.
    pub fn next_bytes(&self, from: Option<SocketAddrV4>) -> usize {
        let found = self.marks.iter().find(|mark| from.is_none_or(|from| from == mark.from));
        found.map_or(0, |mark| mark.end - mark.start)
    }

    /// Takes the oldest one out.
    pub fn take(&mut self) -> Option<(SocketAddrV4, &[u8])> {
        let Mark { from, start, end } = self.marks.pop_front()?;
        Some((from, &self.bytes[start..end]))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);

    fn taken(inbox: &mut Inbox) -> Option<Vec<u8>> {
        inbox.take().map(|(_, bytes)| bytes.to_vec())
    }

    #[test]
    fn what_is_put_in_comes_out_in_order_with_its_sender() {
        let mut inbox = Inbox::new(8, 4);
        let other = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10);
        assert!(inbox.put(FROM, b"abc") && inbox.put(other, b"") && inbox.put(FROM, b"de"));
        assert_eq!([None, Some(FROM), Some(other)].map(|from| inbox.next_bytes(from)), [3, 3, 0]);
        assert_eq!(inbox.next_bytes(Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 11))), 0);
        assert_eq!(inbox.take(), Some((FROM, &b"abc"[..])));
        assert_eq!(inbox.take(), Some((other, &b""[..])));
        assert_eq!([None, Some(FROM), Some(other)].map(|from| inbox.next_bytes(from)), [2, 2, 0]);
        assert_eq!(inbox.take(), Some((FROM, &b"de"[..])));
        assert_eq!(inbox.take(), None);
    }

    #[test]
    fn what_there_is_no_room_for_is_lost() {
        let mut inbox = Inbox::new(8, 2);
        assert!(!inbox.put(FROM, &[0; 9]), "more than there is in all");
        assert!(inbox.put(FROM, &[1; 5]));
        assert!(!inbox.put(FROM, &[2; 4]), "bytes");
        assert!(inbox.put(FROM, &[3; 3]));
        assert!(!inbox.put(FROM, b""), "datagrams");
        assert_eq!(taken(&mut inbox), Some(vec![1; 5]));
        assert!(inbox.put(FROM, &[4; 4]), "in front");
        assert_eq!((taken(&mut inbox), taken(&mut inbox)), (Some(vec![3; 3]), Some(vec![4; 4])));
        assert!(inbox.put(FROM, &[5; 8]), "all of it, when it is empty");
    }

    #[test]
    fn no_datagram_touches_another_however_they_go_round() {
        let mut inbox = Inbox::new(64, 8);
        let mut model = VecDeque::new();
        let mut random = 7_u32;
        for number in 0..20_000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bytes = vec![number.to_le_bytes()[0]; (random >> 24) as usize % 33];
            if random >> 16 & 1 == 0 {
                if inbox.put(FROM, &bytes) {
                    model.push_back(bytes);
                }
            } else {
                assert_eq!(taken(&mut inbox), model.pop_front());
            }
            assert!(model.iter().map(Vec::len).sum::<usize>() <= 64 && model.len() <= 8);
        }
    }
}
