// SPDX-License-Identifier: MIT
//! The engine: descriptors and operations over an I/O path, but for the waits, which are in `wait`.

use std::net::SocketAddrV4;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::descriptor::{Descriptor, Descriptors, Kind, Stage, KINDS};
use crate::operation::{Operations, Outcome, Request, Token};
use crate::{Buffer, Config, Errno, IoPath, Offer, OptionName, Pool, SocketKind, SocketOption};

/// So many operations of a kind may end in one turn of a queue before the next queue has its turn.
const TURN: usize = 8;

/// An engine: one thread's view of its queues. `B` is what pushed bytes are in; it is dropped when the push is done.
pub struct Engine<P: IoPath, B: AsRef<[u8]>> {
    pub(crate) path: P,
    descriptors: Descriptors<P::Queue>,
    pub(crate) operations: Operations<B>,
    /// Descriptors with pending operations, to be polled in turn.
    active: Vec<i32>,
    /// Some of them may have nothing pending any more.
    stale: bool,
    /// Where the next round starts, so that no queue is always first.
    turn: usize,
    /// Closed by the program, not yet by the path.
    closing: Vec<P::Queue>,
    pool: Pool,
    /// What the next pop is received into: always the same one as long as messages are small, so it stays in the cache.
    landing: Buffer,
    pub(crate) spin: Duration,
}

impl<P: IoPath, B: AsRef<[u8]>> Engine<P, B> {
    /// Open the path.
    pub fn open(config: &Config) -> Result<Self, Errno> {
        let mut pool = Pool::default();
        Ok(Engine {
            path: P::open(config)?,
            descriptors: Descriptors::default(),
            operations: Operations::default(),
            active: Vec::new(),
            stale: false,
            turn: 0,
            closing: Vec::new(),
            landing: pool.take(Pool::LARGEST),
            pool,
            spin: config.spin.unwrap_or(P::SPIN),
        })
    }

    /// Where buffers of popped bytes go back to.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    pub fn socket(&mut self, kind: SocketKind) -> Result<i32, Errno> {
        let queue = self.path.socket(kind)?;
        self.descriptors.insert(Descriptor::new(queue, Some(kind), Stage::Fresh))
    }

    pub fn create_pipe(&mut self, name: &str) -> Result<i32, Errno> {
        let queue = self.path.create_pipe(name)?;
        self.descriptors.insert(Descriptor::new(queue, None, Stage::Pipe))
    }

    pub fn open_pipe(&mut self, name: &str) -> Result<i32, Errno> {
        let queue = self.path.open_pipe(name)?;
        self.descriptors.insert(Descriptor::new(queue, None, Stage::Pipe))
    }

    /// Give a socket its local address: once, `EINVAL` afterwards.
    pub fn bind(&mut self, qd: i32, local: SocketAddrV4) -> Result<(), Errno> {
        let found = self.descriptors.get(qd)?;
        match found.stage {
            Stage::Fresh => {}
            Stage::Pipe => return Err(Errno::ENOTSOCK),
            _ => return Err(Errno::EINVAL),
        }
        self.path.bind(&mut found.queue, local)?;
        found.stage = Stage::Bound;
        Ok(())
    }

    /// Make a bound stream a listener. A backlog of 0 is 1, as with Linux.
    pub fn listen(&mut self, qd: i32, backlog: u32) -> Result<(), Errno> {
        let found = self.descriptors.get(qd)?;
        match (found.socket, found.stage) {
            (None, _) => return Err(Errno::ENOTSOCK),
            (Some(SocketKind::Datagram), _) => return Err(Errno::EOPNOTSUPP),
            (_, Stage::Fresh) => return Err(Errno::EDESTADDRREQ),
            (_, Stage::Bound) => {}
            (_, Stage::Connected) => return Err(Errno::EISCONN),
            _ => return Err(Errno::EADDRINUSE),
        }
        self.path.listen(&mut found.queue, backlog.max(1))?;
        found.stage = Stage::Listening;
        Ok(())
    }

    pub fn accept(&mut self, qd: i32) -> Result<Token, Errno> {
        let found = self.descriptors.get(qd)?;
        match (found.socket, found.stage) {
            (None, _) => return Err(Errno::ENOTSOCK),
            (Some(SocketKind::Datagram), _) => return Err(Errno::EOPNOTSUPP),
            (_, Stage::Listening) => {}
            _ => return Err(Errno::EINVAL),
        }
        self.submit(qd, Kind::Accept, Request::Accept)
    }

    /// Connect; what the path has against it is the operation's result.
    pub fn connect(&mut self, qd: i32, remote: SocketAddrV4) -> Result<Token, Errno> {
        let found = self.descriptors.get(qd)?;
        let datagram = found.socket == Some(SocketKind::Datagram);
        let bound = match found.stage {
            Stage::Fresh => false,
            Stage::Bound => true,
            Stage::Connected | Stage::Sending if datagram => true,
            Stage::Connected => return Err(Errno::EISCONN),
            Stage::Connecting { .. } => return Err(Errno::EINPROGRESS),
            Stage::Listening | Stage::Sending => return Err(Errno::EOPNOTSUPP),
            Stage::Pipe => return Err(Errno::ENOTSOCK),
        };
        let started = self.path.connect(&mut found.queue, remote);
        let list = &mut found.lists[Kind::Connect as usize];
        let token = self.operations.start(list, qd, Request::Connect)?;
        match started {
            Ok(()) => {
                found.stage = Stage::Connecting { bound };
                self.poll_eagerly(qd, Kind::Connect);
            }
            Err(errno) => self.operations.finish_head(list, Outcome::Failed(errno)),
        }
        Ok(token)
    }

    /// Send what is offered, which must not be empty, to the peer, or to `to` where the socket is a datagram's.
    #[inline(always)]
    pub fn push(&mut self, qd: i32, offer: impl Offer<B>, to: Option<SocketAddrV4>) -> Result<Token, Errno> {
        let found = self.descriptors.get(qd)?;
        if offer.bytes().is_empty() {
            return Err(Errno::EINVAL);
        }
        match (found.socket, found.stage) {
            (None, _) if to.is_some() => return Err(Errno::ENOTSOCK),
            (Some(SocketKind::Stream), Stage::Connected) if to.is_some() => return Err(Errno::EISCONN),
            (None, _) | (_, Stage::Connected) => {}
            (Some(SocketKind::Stream), _) => return Err(Errno::ENOTCONN),
            (Some(SocketKind::Datagram), _) if to.is_none() => return Err(Errno::EDESTADDRREQ),
            (_, Stage::Fresh) => found.stage = Stage::Sending,
            _ => {}
        }
        if !found.lists[Kind::Push as usize].is_empty() {
            return self.submit(qd, Kind::Push, Request::Push { bytes: offer.keep(), sent: 0, to });
        }
        self.operations.make_room()?;
        let mut sent = 0;
        match self.path.poll_push(&mut found.queue, offer.bytes(), &mut sent, to) {
            Poll::Ready(Ok(())) => self.operations.start_done(qd, Outcome::Pushed),
            Poll::Ready(Err(errno)) => self.operations.start_done(qd, Outcome::Failed(errno)),
            Poll::Pending => {
                let list = &mut found.lists[Kind::Push as usize];
                let token = self.operations.start(list, qd, Request::Push { bytes: offer.keep(), sent, to })?;
                self.activate(qd);
                Ok(token)
            }
        }
    }

    /// Receive.
    #[inline(always)]
    pub fn pop(&mut self, qd: i32) -> Result<Token, Errno> {
        let found = self.descriptors.get(qd)?;
        match (found.socket, found.stage) {
            (None, _) | (_, Stage::Connected) => {}
            (Some(SocketKind::Datagram), Stage::Bound | Stage::Sending) => {}
            _ => return Err(Errno::ENOTCONN),
        }
        if !found.lists[Kind::Pop as usize].is_empty() {
            return self.submit(qd, Kind::Pop, Request::Pop);
        }
        self.operations.make_room()?;
        match receive(&mut self.path, &mut found.queue, &mut self.landing, &mut self.pool) {
            Poll::Ready(outcome) => self.operations.start_done(qd, outcome),
            Poll::Pending => {
                let token = self.operations.start(&mut found.lists[Kind::Pop as usize], qd, Request::Pop)?;
                self.activate(qd);
                Ok(token)
            }
        }
    }

    /// Free the descriptor; what is pending on it ends with `ECANCELED`. The path closes it in the background.
    pub fn close(&mut self, qd: i32) -> Result<(), Errno> {
        let mut closed = self.descriptors.remove(qd)?;
        self.active.retain(|&other| other != qd);
        for list in &mut closed.lists {
            while !list.is_empty() {
                self.operations.finish_head(list, Outcome::Failed(Errno::ECANCELED));
            }
        }
        if self.path.poll_close(&mut closed.queue).is_pending() {
            self.closing.push(closed.queue);
        }
        Ok(())
    }

    pub fn set_option(&mut self, qd: i32, option: SocketOption) -> Result<(), Errno> {
        let found = self.descriptors.get(qd)?;
        if found.socket.is_none() {
            return Err(Errno::ENOTSOCK);
        }
        self.path.set_option(&mut found.queue, option)
    }

    pub fn option(&mut self, qd: i32, name: OptionName) -> Result<SocketOption, Errno> {
        let found = self.descriptors.get(qd)?;
        if found.socket.is_none() {
            return Err(Errno::ENOTSOCK);
        }
        self.path.option(&mut found.queue, name)
    }

    pub fn peer_name(&mut self, qd: i32) -> Result<SocketAddrV4, Errno> {
        let found = self.descriptors.get(qd)?;
        match found.stage {
            Stage::Connected => self.path.peer_name(&mut found.queue),
            Stage::Pipe => Err(Errno::ENOTSOCK),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn submit(&mut self, qd: i32, kind: Kind, request: Request<B>) -> Result<Token, Errno> {
        let found = self.descriptors.get(qd)?;
        let list = &mut found.lists[kind as usize];
        let alone = list.is_empty();
        let token = self.operations.start(list, qd, request)?;
        if alone {
            self.poll_eagerly(qd, kind);
        } else {
            // It is already, unless a path panicked over the operation before this one.
            self.activate(qd);
        }
        Ok(token)
    }

    /// Poll an operation that was just started; where it is not done at once, its queue takes part in the rounds.
    fn poll_eagerly(&mut self, qd: i32, kind: Kind) {
        if !self.poll_head(qd, kind) {
            self.activate(qd);
        }
    }

    fn activate(&mut self, qd: i32) {
        match self.descriptors.get(qd) {
            Ok(found) if !found.active => {
                found.active = true;
                self.active.push(qd);
            }
            _ => {}
        }
    }

    /// Move I/O, then every queue that has something pending, then what is being closed; whether anything moved.
    pub(crate) fn step(&mut self, now: Instant) -> bool {
        let mut moved = self.path.poll_io(now);
        if self.stale {
            self.retire();
        }
        let count = self.active.len();
        self.turn = self.turn.wrapping_add(1);
        for place in 0..count {
            let qd = self.active[if count == 1 { 0 } else { self.turn.wrapping_add(place) % count }];
            let Ok(found) = self.descriptors.get(qd) else { continue };
            let busy = found.lists.map(|list| !list.is_empty());
            for kind in KINDS {
                if busy[kind as usize] {
                    moved |= self.poll_turn(qd, kind);
                }
            }
        }
        // Not now: somebody waits for what moved, and will most often start the same again.
        self.stale |= moved;
        if !self.closing.is_empty() {
            let (path, closing) = (&mut self.path, &mut self.closing);
            closing.retain_mut(|queue| path.poll_close(queue).is_pending());
        }
        moved
    }

    /// Look so many times whether there is something to move, and move it where there is; whether anything moved.
    ///
    /// The last step is so short ago that its time is good for another one, whose result somebody waits for.
    pub(crate) fn glance(&mut self, times: u32, now: Instant) -> bool {
        for _ in 0..times {
            std::hint::spin_loop();
            if !P::SELF_DRIVEN {
                // Who fills a slot of a ring writes it in several pieces, and each look in between takes it away: not too many.
                std::hint::spin_loop();
                if self.path.has_input() {
                    return self.step(now);
                }
                continue;
            }
            for place in 0..self.active.len() {
                let qd = self.active[place];
                let Ok(found) = self.descriptors.get(qd) else { continue };
                if !found.lists[Kind::Pop as usize].is_empty() && self.path.waiting(&found.queue) > 0 {
                    let moved = self.poll_head(qd, Kind::Pop);
                    self.stale |= moved;
                    return moved;
                }
            }
        }
        false
    }

    /// Poll operations of a kind on a queue until one is pending, but not for ever; whether any ended.
    fn poll_turn(&mut self, qd: i32, kind: Kind) -> bool {
        for done in 0..TURN {
            if !self.poll_head(qd, kind) {
                return done > 0;
            }
        }
        true
    }

    /// Take queues without anything pending out of the rounds.
    fn retire(&mut self) {
        self.stale = false;
        let descriptors = &mut self.descriptors;
        self.active.retain(|&qd| match descriptors.get(qd) {
            Ok(found) => {
                found.active = found.has_pending();
                found.active
            }
            Err(_) => false,
        });
    }

    /// Poll the oldest operation of a kind on a queue; whether it ended.
    fn poll_head(&mut self, qd: i32, kind: Kind) -> bool {
        let Ok(found) = self.descriptors.get(qd) else { return false };
        let Some(request) = self.operations.head(found.lists[kind as usize]) else { return false };
        let polled = match request {
            Request::Connect => self.path.poll_connect(&mut found.queue).map_ok(|()| Outcome::Connected),
            Request::Push { bytes, sent, to } => {
                self.path.poll_push(&mut found.queue, bytes.as_ref(), sent, *to).map_ok(|()| Outcome::Pushed)
            }
            Request::Pop => match receive(&mut self.path, &mut found.queue, &mut self.landing, &mut self.pool) {
                Poll::Ready(outcome) => {
                    // Its stage stays what it is: a queue that pops is no longer connecting.
                    self.operations.finish_head(&mut found.lists[kind as usize], outcome);
                    return true;
                }
                Poll::Pending => Poll::Pending,
            },
            Request::Accept => match self.path.poll_accept(&mut found.queue) {
                Poll::Ready(Ok((queue, peer))) => {
                    let accepted = Descriptor::new(queue, Some(SocketKind::Stream), Stage::Connected);
                    Poll::Ready(self.descriptors.insert(accepted).map(|qd| Outcome::Accepted(qd, peer)))
                }
                Poll::Ready(Err(errno)) => Poll::Ready(Err(errno)),
                Poll::Pending => Poll::Pending,
            },
        };
        let Poll::Ready(result) = polled else { return false };
        self.finish_head(qd, kind, result.unwrap_or_else(Outcome::Failed));
        true
    }

    fn finish_head(&mut self, qd: i32, kind: Kind, outcome: Outcome) {
        let Ok(found) = self.descriptors.get(qd) else { return };
        match (found.stage, &outcome) {
            (Stage::Connecting { .. }, Outcome::Connected) => found.stage = Stage::Connected,
            (Stage::Connecting { bound }, Outcome::Failed(_)) => {
                found.stage = if bound { Stage::Bound } else { Stage::Fresh };
            }
            _ => {}
        }
        self.operations.finish_head(&mut found.lists[kind as usize], outcome);
    }
}

/// Poll a pop.
#[inline(always)]
fn receive<P: IoPath>(path: &mut P, queue: &mut P::Queue, landing: &mut Buffer, pool: &mut Pool) -> Poll<Outcome> {
    let waiting = path.waiting(queue);
    if waiting == 0 {
        return path.poll_pop(queue, landing).map(|result| match result {
            Ok(from) => Outcome::Popped(land(landing, pool), from),
            Err(errno) => Outcome::Failed(errno),
        });
    }
    let mut buffer = pool.take(waiting.min(Pool::LARGEST));
    let failed = match path.poll_pop(queue, &mut buffer) {
        Poll::Ready(Ok(from)) => return Poll::Ready(Outcome::Popped(buffer, from)),
        Poll::Ready(Err(errno)) => Poll::Ready(Outcome::Failed(errno)),
        Poll::Pending => Poll::Pending,
    };
    pool.give(buffer);
    failed
}

/// Give what was received in a buffer of its own, so that many small messages do not each hold a large buffer.
#[inline(always)]
fn land(landing: &mut Buffer, pool: &mut Pool) -> Buffer {
    if landing.len() > Pool::SMALLEST {
        return std::mem::replace(landing, pool.take(Pool::LARGEST));
    }
    let mut small = pool.take(landing.len());
    small.append(landing.filled());
    landing.clear();
    small
}

impl<P: IoPath, B: AsRef<[u8]>> Drop for Engine<P, B> {
    /// Close what is open and let the path send what is unsent, as a kernel does for a process that ends; not for ever.
    fn drop(&mut self) {
        let (path, closing) = (&mut self.path, &mut self.closing);
        closing.extend(self.descriptors.drain().map(|descriptor| descriptor.queue));
        closing.retain_mut(|queue| path.poll_close(queue).is_pending());
        let mut now = Instant::now();
        let end = now + P::LAST_WORDS;
        while !closing.is_empty() && now < end {
            if !path.poll_io(now) {
                path.idle(now, Some(end));
            }
            closing.retain_mut(|queue| path.poll_close(queue).is_pending());
            now = Instant::now();
        }
    }
}
