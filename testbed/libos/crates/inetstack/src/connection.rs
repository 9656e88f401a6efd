// SPDX-License-Identifier: MIT
//! One TCP connection: what smoltcp's socket does not know of it.

use std::net::SocketAddrV4;

use queue::Errno;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};

/// Of each direction, bytes. Large enough for 100 Mbit/s over 40 ms; untouched pages cost nothing.
const BUFFER_BYTES: usize = 512 << 10;
/// How long a SYN is repeated (Linux: `tcp_syn_retries` 6, 1 + 2 + ... + 64 s).
const SYN_LIMIT: Duration = Duration::from_secs(127);
/// How long a SYN|ACK is repeated (Linux: `tcp_synack_retries` 5).
const SYN_ACK_LIMIT: Duration = Duration::from_secs(63);
/// How long data is repeated without a word from the peer (Linux: `tcp_retries2` 15, 924.6 s).
const DATA_LIMIT: Duration = Duration::from_millis(924_600);
/// The same when nobody holds the connection any more (Linux: `tcp_orphan_retries` 8, about 100 s).
const ORPHAN_LIMIT: Duration = Duration::from_secs(100);
/// How long a closed connection waits for the peer to close (Linux: `tcp_fin_timeout`).
const FIN_LIMIT: Duration = Duration::from_secs(60);
/// Keep-alive (Linux: `tcp_keepalive_time`, `_intvl`, `_probes`).
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(7200);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(75);
const KEEP_ALIVE_PROBES: u32 = 9;

/// Options of a stream socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamOptions {
    pub no_delay: bool,
    pub keep_alive: bool,
    /// Silence before the first probe, and between probes, where they differ from Linux's.
    pub keep_alive_time: Option<Duration>,
    pub keep_alive_interval: Option<Duration>,
}

/// A connection, opening, open, closing or closed.
#[derive(Debug)]
pub struct Connection {
    pub handle: SocketHandle,
    pub local: SocketAddrV4,
    pub remote: SocketAddrV4,
    /// A queue holds it; otherwise it is closed in the background and then forgotten.
    pub owned: bool,
    /// It came in through this listener and is not accepted yet.
    pub listener: Option<usize>,
    /// Why it failed.
    pub fault: Option<Errno>,
    pub options: StreamOptions,
    /// When the peer was last heard.
    pub heard: Instant,
    /// Since when the peer owes an acknowledgement.
    pub owed: Option<Instant>,
    /// Since when we have nothing more to say.
    pub closing: Option<Instant>,
    /// Since when it is probed whether the peer lives.
    probing: Option<Instant>,
}

/// A fresh smoltcp socket.
pub fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_congestion_control(CongestionControl::Cubic);
    socket
}

impl Connection {
    pub fn new(handle: SocketHandle, local: SocketAddrV4, remote: SocketAddrV4, now: Instant) -> Self {
        Self {
            handle,
            local,
            remote,
            owned: false,
            listener: None,
            fault: None,
            options: StreamOptions::default(),
            heard: now,
            owed: None,
            closing: None,
            probing: None,
        }
    }

    /// Tells the socket its options.
    pub fn apply_options(&mut self, socket: &mut Socket<'static>) {
        socket.set_nagle_enabled(!self.options.no_delay);
        self.probing = None;
        socket.set_keep_alive(self.options.keep_alive.then(|| self.keep_alive_time()));
    }

    fn keep_alive_time(&self) -> Duration {
        self.options.keep_alive_time.unwrap_or(KEEP_ALIVE_TIME)
    }

    fn keep_alive_interval(&self) -> Duration {
        self.options.keep_alive_interval.unwrap_or(KEEP_ALIVE_INTERVAL)
    }

    /// Takes note that the peer was heard.
    pub fn hear(&mut self, socket: &mut Socket<'static>, now: Instant) {
        self.heard = now;
        if self.probing.is_some() {
            self.apply_options(socket);
        }
    }

    /// Looks at the clocks that smoltcp does not have; says when to look again.
    ///
    /// A connection whose time is up is over and gets its fault; as in Linux, the peer is not told.
    pub fn review(&mut self, socket: &mut Socket<'static>, now: Instant) -> Option<Instant> {
        let state = socket.state();
        if matches!(state, State::Closed | State::TimeWait | State::Listen) {
            return None;
        }
        let ends = [self.owing_ends(socket, now), self.closing_ends(state), self.keep_alive_ends(socket, now)];
        let ends = ends.into_iter().flatten().min()?;
        if ends > now {
            return Some(ends);
        }
        self.fault.get_or_insert(Errno::ETIMEDOUT);
        forget(socket);
        None
    }

    /// When the peer has owed us an acknowledgement for too long.
    fn owing_ends(&mut self, socket: &Socket<'static>, now: Instant) -> Option<Instant> {
        let state = socket.state();
        let limit = match state {
            State::SynSent => SYN_LIMIT,
            State::SynReceived => SYN_ACK_LIMIT,
            _ if self.owned || self.listener.is_some() => DATA_LIMIT,
            _ => ORPHAN_LIMIT,
        };
        let owing = socket.send_queue() > 0 || unacknowledged(state);
        self.owed = if owing { self.owed.or(Some(now)) } else { None };
        self.owed.map(|since| since.max(self.heard) + limit)
    }

    /// When the peer of a connection that nobody holds has not closed for too long.
    fn closing_ends(&self, state: State) -> Option<Instant> {
        let waiting = !self.owned && state == State::FinWait2;
        self.closing.filter(|_| waiting).map(|since| since.max(self.heard) + FIN_LIMIT)
    }

    /// When the peer has answered no probe; begins to probe in time.
    fn keep_alive_ends(&mut self, socket: &mut Socket<'static>, now: Instant) -> Option<Instant> {
        if !self.options.keep_alive || unacknowledged(socket.state()) {
            return None;
        }
        let first = self.heard + self.keep_alive_time();
        if now < first {
            return Some(first);
        }
        let interval = self.keep_alive_interval();
        if self.probing.is_none() {
            socket.set_keep_alive(Some(interval));
        }
        Some(*self.probing.get_or_insert(now) + interval * KEEP_ALIVE_PROBES)
    }
}

/// Ends a connection without a word to the peer, whom nothing reaches: an abort alone sends a reset.
pub fn forget(socket: &mut Socket<'static>) {
    socket.abort();
    // To listen is what makes smoltcp forget the peer; the port does not matter.
    if socket.listen(1).is_ok() {
        socket.abort();
    }
}

/// The SYN or FIN that was sent, or is to be sent, is not acknowledged in this state.
pub fn unacknowledged(state: State) -> bool {
    matches!(state, State::SynSent | State::SynReceived | State::FinWait1 | State::Closing | State::LastAck)
}
