// SPDX-License-Identifier: MIT
//! Descriptors: which queue each number stands for, and what state it is in.

use std::collections::VecDeque;

use crate::operation::List;
use crate::{Errno, SocketKind};

/// Where a queue stands (RFC 9293 knows more states, a program of PDPIX does not).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A socket as it was made.
    Fresh,
    Bound,
    Listening,
    /// `bound`: what it goes back to when the connection fails.
    Connecting {
        bound: bool,
    },
    Connected,
    /// A datagram socket that has sent, so that the path gave it a local address.
    Sending,
    /// An end of a pipe.
    Pipe,
}

/// The kinds of operations, each with a list of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    Accept,
    Push,
    Pop,
}

/// In the order in which they are polled: a connection stands before anything moves over it.
pub(crate) const KINDS: [Kind; 4] = [Kind::Connect, Kind::Accept, Kind::Push, Kind::Pop];

#[derive(Debug)]
pub(crate) struct Descriptor<Q> {
    pub queue: Q,
    /// `None` is a pipe.
    pub socket: Option<SocketKind>,
    pub stage: Stage,
    pub lists: [List; KINDS.len()],
    /// It is among those that are polled.
    pub active: bool,
}

impl<Q> Descriptor<Q> {
    pub fn new(queue: Q, socket: Option<SocketKind>, stage: Stage) -> Descriptor<Q> {
        Descriptor { queue, socket, stage, lists: [List::default(); KINDS.len()], active: false }
    }

    pub fn has_pending(&self) -> bool {
        self.lists.iter().any(|list| !list.is_empty())
    }
}

/// All descriptors of an engine: numbers from 1 on, so that a zeroed variable is none.
#[derive(Debug)]
pub(crate) struct Descriptors<Q> {
    slots: Vec<Option<Descriptor<Q>>>,
    /// The longest closed is used first, so that a number that was closed by mistake is noticed.
    free: VecDeque<usize>,
}

/// More than any test opens; a leak ends here and not with the memory.
const MOST: usize = 1 << 20;

impl<Q> Default for Descriptors<Q> {
    fn default() -> Descriptors<Q> {
        Descriptors { slots: Vec::new(), free: VecDeque::new() }
    }
}

impl<Q> Descriptors<Q> {
    /// Give the descriptor a number; `EMFILE` where there are too many.
    pub fn insert(&mut self, descriptor: Descriptor<Q>) -> Result<i32, Errno> {
        let index = match self.free.pop_front() {
            Some(index) => index,
            None if self.slots.len() < MOST => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => return Err(Errno::EMFILE),
        };
        self.slots[index] = Some(descriptor);
        Ok(index as i32 + 1)
    }

    pub fn get(&mut self, qd: i32) -> Result<&mut Descriptor<Q>, Errno> {
        let index = usize::try_from(qd).ok().and_then(|number| number.checked_sub(1)).ok_or(Errno::EBADF)?;
        self.slots.get_mut(index).and_then(Option::as_mut).ok_or(Errno::EBADF)
    }

    pub fn remove(&mut self, qd: i32) -> Result<Descriptor<Q>, Errno> {
        self.get(qd)?;
        let index = qd as usize - 1;
        self.free.push_back(index);
        self.slots[index].take().ok_or(Errno::EBADF)
    }

    /// Take all that are open, the oldest numbers first.
    pub fn drain(&mut self) -> impl Iterator<Item = Descriptor<Q>> + '_ {
        self.free.clear();
        self.slots.drain(..).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> Descriptor<char> {
        Descriptor::new('q', None, Stage::Pipe)
    }

    #[test]
    fn numbers_start_at_one_and_bad_ones_are_refused() {
        let mut table = Descriptors::default();
        assert_eq!((table.insert(pipe()), table.insert(pipe())), (Ok(1), Ok(2)));
        for bad in [0, 3, -1, i32::MIN, i32::MAX] {
            assert_eq!(table.get(bad).err(), Some(Errno::EBADF));
        }
        assert!(table.remove(1).is_ok());
        assert_eq!(table.remove(1).err(), Some(Errno::EBADF));
    }

    #[test]
    fn the_longest_closed_number_comes_back_first() {
        let mut table = Descriptors::default();
        for _ in 0..3 {
            table.insert(pipe()).unwrap();
        }
        table.remove(2).unwrap();
        table.remove(1).unwrap();
        assert_eq!((table.insert(pipe()), table.insert(pipe()), table.insert(pipe())), (Ok(2), Ok(1), Ok(4)));
    }
}
