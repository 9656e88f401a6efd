// SPDX-License-Identifier: MIT
//! Pipes inside one engine: what is pushed at one end is popped at the other. No socket, no other process, no system call.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddrV4;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Instant;

use queue::{Buffer, Config, Errno, IoPath, OptionName, SocketKind, SocketOption};

/// What a direction of a pipe holds before a push has to wait, in bytes.
pub const ROOM_BYTES: usize = 64 * 1024;

/// One direction.
#[derive(Default)]
struct Lane {
    bytes: VecDeque<u8>,
    /// The writer, or the reader, is gone.
    closed: bool,
}

type Shared = Rc<RefCell<Lane>>;

/// The lanes out of and into the first end.
type Lanes = (Weak<RefCell<Lane>>, Weak<RefCell<Lane>>);

/// An end of a pipe.
pub struct End {
    out: Shared,
    into: Shared,
}

impl Drop for End {
    fn drop(&mut self) {
        for lane in [&self.out, &self.into] {
            lane.borrow_mut().closed = true;
        }
    }
}

/// Pipes by name, as long as their first end waits for the second.
#[derive(Default)]
pub struct Null {
    waiting: HashMap<String, Lanes>,
}

impl IoPath for Null {
    type Queue = End;

    const SELF_DRIVEN: bool = true;

    fn open(_config: &Config) -> Result<Null, Errno> {
        Ok(Null::default())
    }

    fn socket(&mut self, _kind: SocketKind) -> Result<End, Errno> {
        Err(Errno::ENOTSUP)
    }

    fn bind(&mut self, _queue: &mut End, _local: SocketAddrV4) -> Result<(), Errno> {
        Err(Errno::ENOTSUP)
    }

    fn listen(&mut self, _queue: &mut End, _backlog: u32) -> Result<(), Errno> {
        Err(Errno::ENOTSUP)
    }

    fn connect(&mut self, _queue: &mut End, _remote: SocketAddrV4) -> Result<(), Errno> {
        Err(Errno::ENOTSUP)
    }

    fn poll_connect(&mut self, _queue: &mut End) -> Poll<Result<(), Errno>> {
        Poll::Ready(Err(Errno::ENOTSUP))
    }

    fn poll_accept(&mut self, _queue: &mut End) -> Poll<Result<(End, SocketAddrV4), Errno>> {
        Poll::Ready(Err(Errno::ENOTSUP))
    }

    fn poll_push(
        &mut self,
        queue: &mut End,
        bytes: &[u8],
        sent: &mut usize,
        _to: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        let lane = &mut *queue.out.borrow_mut();
        if lane.closed {
            return Poll::Ready(Err(Errno::EPIPE));
        }
        let count = (bytes.len() - *sent).min(ROOM_BYTES - lane.bytes.len());
        lane.bytes.extend(&bytes[*sent..*sent + count]);
        *sent += count;
        if *sent == bytes.len() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn poll_pop(&mut self, queue: &mut End, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        let lane = &mut *queue.into.borrow_mut();
        if lane.bytes.is_empty() && !lane.closed {
            return Poll::Pending;
        }
        let (first, second) = lane.bytes.as_slices();
        let count = into.append(first) + into.append(second);
        lane.bytes.drain(..count);
        Poll::Ready(Ok(None))
    }

    fn poll_close(&mut self, _queue: &mut End) -> Poll<Result<(), Errno>> {
        Poll::Ready(Ok(()))
    }

    fn set_option(&mut self, _queue: &mut End, _option: SocketOption) -> Result<(), Errno> {
        Err(Errno::ENOPROTOOPT)
    }

    fn option(&mut self, _queue: &mut End, _name: OptionName) -> Result<SocketOption, Errno> {
        Err(Errno::ENOPROTOOPT)
    }

    fn peer_name(&mut self, _queue: &mut End) -> Result<SocketAddrV4, Errno> {
        Err(Errno::ENOTCONN)
    }

    fn create_pipe(&mut self, name: &str) -> Result<End, Errno> {
        self.waiting.retain(|_, (lane, _)| lane.strong_count() > 0);
        if self.waiting.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let lane = || Rc::new(RefCell::new(Lane { bytes: VecDeque::with_capacity(ROOM_BYTES), closed: false }));
        let end = End { out: lane(), into: lane() };
        self.waiting.insert(name.to_string(), (Rc::downgrade(&end.out), Rc::downgrade(&end.into)));
        Ok(end)
    }

    fn open_pipe(&mut self, name: &str) -> Result<End, Errno> {
        let (out, into) = self.waiting.remove(name).ok_or(Errno::ENOENT)?;
        Ok(End { out: into.upgrade().ok_or(Errno::ENOENT)?, into: out.upgrade().ok_or(Errno::ENOENT)? })
    }

    fn poll_io(&mut self, _now: Instant) -> bool {
        false
    }

    /// Nothing can happen by itself, so all that is left is the time.
    fn idle(&mut self, now: Instant, until: Option<Instant>) {
        if let Some(until) = until {
            std::thread::sleep(until.saturating_duration_since(now));
        }
    }
}
