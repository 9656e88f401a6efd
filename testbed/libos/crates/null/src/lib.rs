// SPDX-License-Identifier: MIT
//! Pipes and streams inside one engine: what is pushed at one end is popped at the other. No wire, no other process, no system call.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
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

/// Connections that wait to be accepted: the other ends, and whose they are.
struct Backlog {
    waiting: VecDeque<(End, SocketAddrV4)>,
    most: usize,
}

/// Ports in use, each with its listener where it has one.
type Ports = Rc<RefCell<HashMap<u16, Weak<RefCell<Backlog>>>>>;

/// What a queue is.
enum Role {
    Fresh,
    Listener(Rc<RefCell<Backlog>>),
    /// On its way to a listener that has no room yet.
    Connecting(Weak<RefCell<Backlog>>, SocketAddrV4),
    Stream(End, SocketAddrV4),
    Pipe(End),
}

/// A socket, or an end of a pipe.
pub struct Queue {
    role: Role,
    /// Its address, and the ports that it gives its own back to.
    local: Option<(SocketAddrV4, Ports)>,
}

impl Queue {
    fn pipe(end: End) -> Queue {
        Queue { role: Role::Pipe(end), local: None }
    }

    /// The end that bytes move through.
    fn end(&self) -> Result<&End, Errno> {
        match &self.role {
            Role::Stream(end, _) | Role::Pipe(end) => Ok(end),
            _ => Err(Errno::ENOTCONN),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some((local, ports)) = &self.local {
            ports.borrow_mut().remove(&local.port());
        }
    }
}

/// Two ends of one line.
fn line() -> (End, End) {
    let lane = || Rc::new(RefCell::new(Lane { bytes: VecDeque::with_capacity(ROOM_BYTES), closed: false }));
    let first = End { out: lane(), into: lane() };
    let second = End { out: Rc::clone(&first.into), into: Rc::clone(&first.out) };
    (first, second)
}

/// Pipes by name, as long as their first end waits for the second; ports.
#[derive(Default)]
pub struct Null {
    waiting: HashMap<String, Lanes>,
    ports: Ports,
}

impl Null {
    /// The first free port for those who want any (IANA's dynamic ports, RFC 6335).
    fn any_port(&self) -> Result<u16, Errno> {
        let ports = self.ports.borrow();
        (49152..=65535).find(|port| !ports.contains_key(port)).ok_or(Errno::EADDRNOTAVAIL)
    }
}

impl IoPath for Null {
    type Queue = Queue;

    const SELF_DRIVEN: bool = true;

    fn open(_config: &Config) -> Result<Null, Errno> {
        Ok(Null::default())
    }

    fn socket(&mut self, kind: SocketKind) -> Result<Queue, Errno> {
        match kind {
            SocketKind::Stream => Ok(Queue { role: Role::Fresh, local: None }),
            SocketKind::Datagram => Err(Errno::ENOTSUP),
        }
    }

    fn bind(&mut self, queue: &mut Queue, local: SocketAddrV4) -> Result<(), Errno> {
        let port = if local.port() == 0 { self.any_port()? } else { local.port() };
        if self.ports.borrow().contains_key(&port) {
            return Err(Errno::EADDRINUSE);
        }
        self.ports.borrow_mut().insert(port, Weak::new());
        queue.local = Some((SocketAddrV4::new(*local.ip(), port), Rc::clone(&self.ports)));
        Ok(())
    }

    fn listen(&mut self, queue: &mut Queue, backlog: u32) -> Result<(), Errno> {
        let (local, _) = queue.local.as_ref().ok_or(Errno::EDESTADDRREQ)?;
        let backlog = Backlog { waiting: VecDeque::new(), most: backlog as usize };
        let backlog = Rc::new(RefCell::new(backlog));
        self.ports.borrow_mut().insert(local.port(), Rc::downgrade(&backlog));
        queue.role = Role::Listener(backlog);
        Ok(())
    }

    fn connect(&mut self, queue: &mut Queue, remote: SocketAddrV4) -> Result<(), Errno> {
        let listener = self.ports.borrow().get(&remote.port()).cloned().ok_or(Errno::ECONNREFUSED)?;
        if listener.strong_count() == 0 {
            return Err(Errno::ECONNREFUSED);
        }
        if queue.local.is_none() {
            self.bind(queue, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        }
        queue.role = Role::Connecting(listener, remote);
        Ok(())
    }

    fn poll_connect(&mut self, queue: &mut Queue) -> Poll<Result<(), Errno>> {
        let Role::Connecting(listener, remote) = &queue.role else { return Poll::Ready(Ok(())) };
        let Some(listener) = listener.upgrade() else {
            queue.role = Role::Fresh;
            return Poll::Ready(Err(Errno::ECONNREFUSED));
        };
        let Some((local, _)) = queue.local else { return Poll::Ready(Err(Errno::EADDRNOTAVAIL)) };
        let backlog = &mut *listener.borrow_mut();
        if backlog.waiting.len() >= backlog.most {
            return Poll::Pending;
        }
        let (ours, theirs) = line();
        backlog.waiting.push_back((theirs, local));
        queue.role = Role::Stream(ours, *remote);
        Poll::Ready(Ok(()))
    }

    fn poll_accept(&mut self, queue: &mut Queue) -> Poll<Result<(Queue, SocketAddrV4), Errno>> {
        let Role::Listener(backlog) = &queue.role else { return Poll::Ready(Err(Errno::EINVAL)) };
        match backlog.borrow_mut().waiting.pop_front() {
            Some((end, peer)) => Poll::Ready(Ok((Queue { role: Role::Stream(end, peer), local: None }, peer))),
            None => Poll::Pending,
        }
    }

    fn poll_push(
        &mut self,
        queue: &mut Queue,
        bytes: &[u8],
        sent: &mut usize,
        _to: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        let lane = &mut *queue.end()?.out.borrow_mut();
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

    fn poll_pop(&mut self, queue: &mut Queue, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        let lane = &mut *queue.end()?.into.borrow_mut();
        if lane.bytes.is_empty() && !lane.closed {
            return Poll::Pending;
        }
        let (first, second) = lane.bytes.as_slices();
        let count = into.append(first) + into.append(second);
        lane.bytes.drain(..count);
        Poll::Ready(Ok(None))
    }

    fn poll_close(&mut self, _queue: &mut Queue) -> Poll<Result<(), Errno>> {
        Poll::Ready(Ok(()))
    }

    fn set_option(&mut self, _queue: &mut Queue, _option: SocketOption) -> Result<(), Errno> {
        Err(Errno::ENOPROTOOPT)
    }

    fn option(&mut self, _queue: &mut Queue, _name: OptionName) -> Result<SocketOption, Errno> {
        Err(Errno::ENOPROTOOPT)
    }

    fn peer_name(&mut self, queue: &mut Queue) -> Result<SocketAddrV4, Errno> {
        match &queue.role {
            Role::Stream(_, peer) => Ok(*peer),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn create_pipe(&mut self, name: &str) -> Result<Queue, Errno> {
        self.waiting.retain(|_, (lane, _)| lane.strong_count() > 0);
        if self.waiting.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let lane = || Rc::new(RefCell::new(Lane { bytes: VecDeque::with_capacity(ROOM_BYTES), closed: false }));
        let end = End { out: lane(), into: lane() };
        self.waiting.insert(name.to_string(), (Rc::downgrade(&end.out), Rc::downgrade(&end.into)));
        Ok(Queue::pipe(end))
    }

    fn open_pipe(&mut self, name: &str) -> Result<Queue, Errno> {
        let (out, into) = self.waiting.remove(name).ok_or(Errno::ENOENT)?;
        let (out, into) = (into.upgrade().ok_or(Errno::ENOENT)?, out.upgrade().ok_or(Errno::ENOENT)?);
        Ok(Queue::pipe(End { out, into }))
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
