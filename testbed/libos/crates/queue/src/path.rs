// SPDX-License-Identifier: MIT
//! What a flavor implements.

use std::net::SocketAddrV4;
use std::os::fd::BorrowedFd;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::{Buffer, Config, Errno};

/// What `socket` is asked for: `AF_INET` with `SOCK_STREAM` or `SOCK_DGRAM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    Stream,
    Datagram,
}

/// The options that PDPIX knows (socket(7), tcp(7)), by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionName {
    Linger,
    KeepAlive,
    NoDelay,
}

/// An option with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// How long a close waits for unsent bytes; `None`: it does not wait, and they are sent in the background.
    Linger(Option<Duration>),
    KeepAlive(bool),
    NoDelay(bool),
}

/// Where bytes come from and go to: a flavor, and nothing else, implements this.
///
/// The engine calls from one thread, checks the state of a socket first (a push on a stream comes only once it is
/// connected, an accept only on a listener) and never overtakes: of one queue, the oldest pending push, pop and accept are
/// the ones that are polled, each until it is ready. Nothing here may block but [`IoPath::idle`]. A `poll_*` function that
/// is `Pending` is called again after [`IoPath::poll_io`], so it should know from memory whether to bother the device.
pub trait IoPath: Sized {
    /// A socket, a listener, a pipe's end. Its `Drop` releases what it holds at once.
    type Queue;

    /// The kernel (or the peer) moves the bytes by itself once a push is ready, so a wait for an operation that is done
    /// need not call [`IoPath::poll_io`]. A stack that lives by being polled leaves this false.
    const SELF_DRIVEN: bool = false;

    /// How long a wait polls without anything moving before it idles, where the configuration says nothing.
    const SPIN: Duration = Duration::from_micros(20);

    /// How many times a wait that spins looks between two polls, where that is much quicker than to poll: whether bytes are
    /// [`IoPath::waiting`] on a path that moves by itself, else whether it [`IoPath::has_input`].
    const GLANCES: u32 = 0;

    /// So long an engine that ends tries to send what is unsent.
    const LAST_WORDS: Duration = Duration::from_secs(2);

    fn open(config: &Config) -> Result<Self, Errno>;

    fn socket(&mut self, kind: SocketKind) -> Result<Self::Queue, Errno>;

    /// Give the socket its local address: `EADDRINUSE`, `EADDRNOTAVAIL`. Called at most once with success.
    fn bind(&mut self, queue: &mut Self::Queue, local: SocketAddrV4) -> Result<(), Errno>;

    /// Make a bound stream socket a listener; `backlog` is at least 1.
    fn listen(&mut self, queue: &mut Self::Queue, backlog: u32) -> Result<(), Errno>;

    /// Start to connect a stream, or set the peer of a datagram socket.
    fn connect(&mut self, queue: &mut Self::Queue, remote: SocketAddrV4) -> Result<(), Errno>;

    /// Whether the connection stands; after an error the socket may be connected anew.
    fn poll_connect(&mut self, queue: &mut Self::Queue) -> Poll<Result<(), Errno>>;

    fn poll_accept(&mut self, queue: &mut Self::Queue) -> Poll<Result<(Self::Queue, SocketAddrV4), Errno>>;

    /// Send `bytes` from `*sent` on, and count `*sent` up; ready when all are handed on. The same bytes come again until
    /// then, at the same place, and may be read in place in between. `to` is the peer of a datagram where it was given.
    fn poll_push(
        &mut self,
        queue: &mut Self::Queue,
        bytes: &[u8],
        sent: &mut usize,
        to: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>>;

    /// Receive into the empty buffer `into` (room for the longest datagram), with the sender of a datagram. Ready and
    /// still empty on a stream or pipe: the peer closed, and every later pop says so again. Pending: `into` is still empty.
    fn poll_pop(&mut self, queue: &mut Self::Queue, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>>;

    /// How many bytes lie there for the next pop, where the path knows without receiving them: its buffer has room for those
    /// and not for the longest datagram. 0: nothing, or nobody knows.
    fn waiting(&self, _queue: &Self::Queue) -> usize {
        0
    }

    /// Whether a poll would find something that came from outside.
    fn has_input(&mut self) -> bool {
        false
    }

    /// The part of a close that takes time: what is unsent, the FIN and its acknowledgement. Polled until it is ready (an
    /// error is logged by whoever closes, not told), then the queue is dropped. The descriptor is free at once.
    fn poll_close(&mut self, queue: &mut Self::Queue) -> Poll<Result<(), Errno>>;

    fn set_option(&mut self, queue: &mut Self::Queue, option: SocketOption) -> Result<(), Errno>;

    fn option(&mut self, queue: &mut Self::Queue, name: OptionName) -> Result<SocketOption, Errno>;

    /// The peer of a connected socket, else `ENOTCONN`.
    fn peer_name(&mut self, queue: &mut Self::Queue) -> Result<SocketAddrV4, Errno>;

    fn create_pipe(&mut self, _name: &str) -> Result<Self::Queue, Errno> {
        Err(Errno::ENOTSUP)
    }

    fn open_pipe(&mut self, _name: &str) -> Result<Self::Queue, Errno> {
        Err(Errno::ENOTSUP)
    }

    /// Move frames, timers and events without blocking; whether anything moved.
    fn poll_io(&mut self, now: Instant) -> bool;

    /// Move what there is on behalf of a wait for what is done already.
    fn attend(&mut self) {
        self.poll_io(Instant::now());
    }

    /// Block until something may have moved, at most until then; `None` is for ever, a time that is past only looks. Early
    /// returns are harmless. `now` was read a moment ago: who needs no better one saves a call of the system.
    fn idle(&mut self, now: Instant, until: Option<Instant>);

    /// Block until something may have moved, or `wake` may be read. A path that cannot wait for both looks every now and then.
    fn idle_or(&mut self, wake: BorrowedFd<'_>) {
        let _ = wake;
        let now = Instant::now();
        self.idle(now, Some(now + Duration::from_millis(1)));
    }
}
