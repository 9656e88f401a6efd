// SPDX-License-Identifier: MIT
//! Operations under way or done, each in a slot that its token names.

use std::net::SocketAddrV4;

use crate::{Buffer, Errno};

/// Names an operation from its start until its result is taken. Never zero; a slot's next token differs from its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(u64);

const INDEX_BITS: u32 = 24;
const NONE: u32 = u32::MAX;

impl Token {
    /// The token that a program hands back.
    pub fn from_number(number: u64) -> Token {
        Token(number)
    }

    pub fn number(self) -> u64 {
        self.0
    }

    fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
}

/// What an operation came to.
#[derive(Debug)]
pub enum Outcome {
    Pushed,
    /// Bytes (none: the peer closed), and the sender of a datagram.
    Popped(Buffer, Option<SocketAddrV4>),
    /// The descriptor of the new connection, and its peer.
    Accepted(i32, SocketAddrV4),
    Connected,
    Failed(Errno),
}

/// The result of one operation.
#[derive(Debug)]
pub struct Completion {
    pub token: Token,
    /// The descriptor that the operation was started on.
    pub qd: i32,
    pub outcome: Outcome,
}

/// What was asked for, and how far it has come.
#[derive(Debug)]
pub(crate) enum Request<B> {
    Connect,
    Accept,
    Push { bytes: B, sent: usize, to: Option<SocketAddrV4> },
    Pop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Pending,
    Done,
}

/// A slot; `next` and `before` chain it to others of its list, or of the free slots.
///
/// What is asked for and what came of it lie side by side and not in the state: an enumeration of both would be moved as a
/// whole, most of it for nothing, right after parts of it were written.
#[derive(Debug)]
struct Slot<B> {
    token: Token,
    qd: i32,
    state: State,
    before: u32,
    next: u32,
    /// While it is pending; else [`Request::Pop`], which holds nothing.
    request: Request<B>,
    /// Once it is done; else [`NO_OUTCOME`].
    outcome: Outcome,
    /// Which completion of the engine it was, once it is done.
    completion: u64,
}

/// Holds nothing.
const NO_OUTCOME: Outcome = Outcome::Connected;

/// The ends of a chain of slots, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    first: u32,
    last: u32,
}

impl Default for List {
    fn default() -> List {
        List { first: NONE, last: NONE }
    }
}

impl List {
    pub fn is_empty(self) -> bool {
        self.first == NONE
    }
}

/// All operations of an engine. Nothing is allocated once there are as many slots as operations at a time.
#[derive(Debug)]
pub(crate) struct Operations<B> {
    slots: Vec<Slot<B>>,
    free: Vec<u32>,
    done: List,
    completions: u64,
    pending: usize,
}

impl<B> Default for Operations<B> {
    fn default() -> Operations<B> {
        Operations { slots: Vec::new(), free: Vec::new(), done: List::default(), completions: 0, pending: 0 }
    }
}

impl<B> Operations<B> {
    /// Start an operation at the end of `list`; `ENOBUFS` where a token cannot name one more.
    pub fn start(&mut self, list: &mut List, qd: i32, request: Request<B>) -> Result<Token, Errno> {
        let (index, token) = self.occupy(qd, State::Pending)?;
        self.slots[index as usize].request = request;
        self.pending += 1;
        append(&mut self.slots, list, index);
        Ok(token)
    }

    /// Note an operation that was done at once, and so never was in a list.
    #[inline(always)]
    pub fn start_done(&mut self, qd: i32, outcome: Outcome) -> Result<Token, Errno> {
        let (index, token) = self.occupy(qd, State::Done)?;
        self.settle(index, outcome);
        append(&mut self.slots, &mut self.done, index);
        Ok(token)
    }

    /// Make sure that one more operation can start: `ENOBUFS` where a token cannot name it.
    #[inline(always)]
    pub fn make_room(&mut self) -> Result<(), Errno> {
        if self.free.is_empty() {
            let index = self.grow()?;
            self.free.push(index);
        }
        Ok(())
    }

    /// Take a free slot.
    #[inline(always)]
    fn occupy(&mut self, qd: i32, state: State) -> Result<(u32, Token), Errno> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = &mut self.slots[index as usize];
        // The next generation in the upper bits; it skips zero when it comes round.
        let generation = (slot.token.0 >> INDEX_BITS).wrapping_add(1) & (u64::MAX >> INDEX_BITS);
        slot.token = Token(generation.max(1) << INDEX_BITS | u64::from(index));
        slot.qd = qd;
        slot.state = state;
        Ok((index, slot.token))
    }

    /// Write down what came of the operation in a slot.
    #[inline(always)]
    fn settle(&mut self, index: u32, outcome: Outcome) {
        self.completions += 1;
        let slot = &mut self.slots[index as usize];
        slot.completion = self.completions;
        // There was none: nothing is to be dropped, which the compiler cannot know.
        let before = std::mem::replace(&mut slot.outcome, outcome);
        debug_assert!(matches!(before, Outcome::Connected), "{before:?}");
        std::mem::forget(before);
    }

    fn grow(&mut self) -> Result<u32, Errno> {
        if self.slots.len() >= 1 << INDEX_BITS {
            return Err(Errno::ENOBUFS);
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot {
            token: Token(u64::from(index)),
            qd: 0,
            state: State::Free,
            before: NONE,
            next: NONE,
            request: Request::Pop,
            outcome: NO_OUTCOME,
            completion: 0,
        });
        Ok(index)
    }

    /// The oldest operation of a list that is still pending.
    pub fn head(&mut self, list: List) -> Option<&mut Request<B>> {
        let slot = self.slots.get_mut(list.first as usize)?;
        (slot.state == State::Pending).then_some(&mut slot.request)
    }

    /// The token of the oldest operation of a list.
    pub fn head_token(&self, list: List) -> Option<Token> {
        self.slots.get(list.first as usize).map(|slot| slot.token)
    }

    /// The oldest operation of a list is done.
    #[inline(always)]
    pub fn finish_head(&mut self, list: &mut List, outcome: Outcome) {
        let index = list.first;
        unlink(&mut self.slots, list, index);
        self.pending -= 1;
        let slot = &mut self.slots[index as usize];
        slot.state = State::Done;
        if !matches!(slot.request, Request::Pop) {
            slot.request = Request::Pop;
        }
        self.settle(index, outcome);
        append(&mut self.slots, &mut self.done, index);
    }

    /// Whether the token names an operation whose result was not taken yet.
    pub fn knows(&self, token: Token) -> bool {
        self.slots.get(token.index()).is_some_and(|slot| slot.token == token && slot.state != State::Free)
    }

    /// Which completion the operation was, where it is done: the lower, the earlier.
    pub fn done_as(&self, token: Token) -> Option<u64> {
        let slot = self.slots.get(token.index())?;
        (slot.token == token && slot.state == State::Done).then_some(slot.completion)
    }

    /// The operation that was done first, of those whose results were not taken.
    pub fn first_done(&self) -> Option<Token> {
        self.head_token(self.done)
    }

    /// How many operations were done so far: unchanged, nobody needs to look again.
    pub fn completions(&self) -> u64 {
        self.completions
    }

    /// How many operations are not done.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Take the result of an operation that is done; its token names nothing from now on.
    #[inline(always)]
    pub fn take(&mut self, token: Token) -> Option<Completion> {
        let slot = self.slots.get_mut(token.index()).filter(|slot| slot.token == token)?;
        if slot.state != State::Done {
            return None;
        }
        slot.state = State::Free;
        let outcome = std::mem::replace(&mut slot.outcome, NO_OUTCOME);
        let (index, qd) = (token.index() as u32, slot.qd);
        unlink(&mut self.slots, &mut self.done, index);
        self.free.push(index);
        Some(Completion { token, qd, outcome })
    }
}

/// Chain a slot to the end of a list.
#[inline(always)]
fn append<B>(slots: &mut [Slot<B>], list: &mut List, index: u32) {
    let slot = &mut slots[index as usize];
    (slot.before, slot.next) = (list.last, NONE);
    match slots.get_mut(list.last as usize) {
        Some(last) => last.next = index,
        None => list.first = index,
    }
    list.last = index;
}

/// Take a slot out of the list that it is in.
#[inline(always)]
fn unlink<B>(slots: &mut [Slot<B>], list: &mut List, index: u32) {
    let Slot { before, next, .. } = slots[index as usize];
    match slots.get_mut(before as usize) {
        Some(slot) => slot.next = next,
        None => list.first = next,
    }
    match slots.get_mut(next as usize) {
        Some(slot) => slot.before = before,
        None => list.last = before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop(operations: &mut Operations<Vec<u8>>, list: &mut List) -> Token {
        operations.start(list, 7, Request::Pop).unwrap()
    }

    #[test]
    fn a_slot_used_again_has_another_token() {
        let mut operations = Operations::default();
        let mut list = List::default();
        let first = pop(&mut operations, &mut list);
        assert!(operations.knows(first) && operations.take(first).is_none());
        operations.finish_head(&mut list, Outcome::Connected);
        assert_eq!(operations.take(first).unwrap().qd, 7);
        let second = pop(&mut operations, &mut list);
        assert_eq!(second.index(), first.index());
        assert_ne!(second, first);
        assert!(!operations.knows(first) && operations.knows(second));
        assert!(!operations.knows(Token(0)) && !operations.knows(Token(u64::MAX)));
    }

    #[test]
    fn generations_skip_zero_when_they_come_round() {
        let mut operations = Operations::default();
        let mut list = List::default();
        let first = pop(&mut operations, &mut list);
        operations.finish_head(&mut list, Outcome::Connected);
        operations.take(first);
        operations.slots[0].token = Token(u64::MAX << INDEX_BITS);
        assert_eq!(pop(&mut operations, &mut list), Token(1 << INDEX_BITS));
    }

    #[test]
    fn results_can_be_taken_from_the_middle() {
        let mut operations = Operations::default();
        let mut list = List::default();
        let tokens: Vec<_> = (0..4).map(|_| pop(&mut operations, &mut list)).collect();
        for _ in 0..4 {
            operations.finish_head(&mut list, Outcome::Connected);
        }
        assert!(list.is_empty());
        for (taken, first) in [(1, 0), (3, 0), (0, 2)] {
            assert!(operations.take(tokens[taken]).is_some());
            assert_eq!(operations.first_done(), Some(tokens[first]));
        }
        operations.take(tokens[2]);
        assert_eq!((operations.first_done(), operations.pending()), (None, 0));
    }
}
