// SPDX-License-Identifier: MIT
//! TCP: the connections and listeners of a stack.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::task::Poll;

use queue::{Buffer, Errno};
use slab::Slab;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, Socket, State};
use smoltcp::time::Instant;

use crate::connection::{self, unacknowledged, Connection, StreamOptions};
use crate::core::{endpoint, listen_endpoint, Core};
use crate::packet::{Refusal, Segment};

/// A listener: the connections that came in and were not accepted.
#[derive(Debug)]
struct Listener {
    local: SocketAddrV4,
    backlog: usize,
    waiting: VecDeque<usize>,
    options: StreamOptions,
}

/// All of a stack's connections and listeners.
#[derive(Debug, Default)]
pub struct Tcp {
    connections: Slab<Connection>,
    listeners: Slab<Listener>,
    /// By local and remote address.
    by_ends: BTreeMap<(SocketAddrV4, SocketAddrV4), usize>,
    /// Connections that were given up so far.
    pub failures: u64,
}

fn socket(core: &mut Core, handle: SocketHandle) -> &mut Socket<'static> {
    core.sockets.get_mut(handle)
}

impl Tcp {
    /// Listens; the caller has checked that nobody else does.
    pub fn listen(&mut self, local: SocketAddrV4, backlog: u32, options: StreamOptions) -> usize {
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX).max(1);
        self.listeners.insert(Listener { local, backlog, waiting: VecDeque::new(), options })
    }

    /// Says whether a port is listened at or connected from.
    pub fn uses(&self, port: u16) -> bool {
        self.listeners.iter().any(|(_, listener)| listener.local.port() == port)
            || self.connections.iter().any(|(_, connection)| connection.local.port() == port)
    }

    /// Starts a connection.
    ///
    /// # Errors
    /// `EADDRINUSE`: there is one between the same ends already.
    pub fn connect(
        &mut self,
        core: &mut Core,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        options: StreamOptions,
    ) -> Result<usize, Errno> {
        if !self.make_way(core, &(local, remote)) {
            return Err(Errno::EADDRINUSE);
        }
        let mut socket = connection::socket();
        let context = core.interface.context();
        socket.connect(context, endpoint(remote), endpoint(local)).map_err(|_| Errno::EADDRNOTAVAIL)?;
        let id = self.add(core, socket, local, remote);
        let connection = &mut self.connections[id];
        connection.owned = true;
        connection.options = options;
        connection.apply_options(core.sockets.get_mut(connection.handle));
        core.dirty = true;
        Ok(id)
    }

    fn add(&mut self, core: &mut Core, socket: Socket<'static>, local: SocketAddrV4, remote: SocketAddrV4) -> usize {
        let handle = core.sockets.add(socket);
        let id = self.connections.insert(Connection::new(handle, local, remote, core.now));
        self.by_ends.insert((local, remote), id);
        id
    }

    fn remove(&mut self, core: &mut Core, id: usize) {
        let connection = self.connections.remove(id);
        core.sockets.remove(connection.handle);
        self.by_ends.remove(&(connection.local, connection.remote));
        if let Some(listener) = connection.listener.and_then(|listener| self.listeners.get_mut(listener)) {
            listener.waiting.retain(|&waiting| waiting != id);
        }
    }

    /// Says whether there is no connection between these ends, and forgets one that is over.
    fn make_way(&mut self, core: &mut Core, ends: &(SocketAddrV4, SocketAddrV4)) -> bool {
        let Some(&id) = self.by_ends.get(ends) else { return true };
        let connection = &self.connections[id];
        let state = socket(core, connection.handle).state();
        let over = !connection.owned && matches!(state, State::TimeWait | State::Closed);
        if over {
            self.remove(core, id);
        }
        over
    }

    /// Says whether the connection stands.
    pub fn poll_connect(&mut self, core: &mut Core, id: usize) -> Poll<Result<(), Errno>> {
        let connection = &self.connections[id];
        if let Some(fault) = connection.fault {
            return Poll::Ready(Err(fault));
        }
        match socket(core, connection.handle).state() {
            State::SynSent | State::SynReceived => Poll::Pending,
            State::Closed => Poll::Ready(Err(Errno::ECONNABORTED)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Gives the oldest connection of a listener that stands (or stood).
    pub fn poll_accept(&mut self, core: &mut Core, listener: usize) -> Option<usize> {
        let opening = |id: &usize| {
            let handle = self.connections[*id].handle;
            core.sockets.get::<Socket<'_>>(handle).state() == State::SynReceived
        };
        let waiting = &self.listeners[listener].waiting;
        let at = waiting.iter().position(|id| !opening(id))?;
        let id = self.listeners[listener].waiting.remove(at)?;
        let connection = &mut self.connections[id];
        connection.listener = None;
        connection.owned = true;
        Some(id)
    }

    /// The ends of a connection: local, remote.
    pub fn ends(&self, id: usize) -> (SocketAddrV4, SocketAddrV4) {
        (self.connections[id].local, self.connections[id].remote)
    }

    /// Hands bytes to a connection from `*sent` on, as many as it has room for.
    pub fn poll_push(&mut self, core: &mut Core, id: usize, bytes: &[u8], sent: &mut usize) -> Poll<Result<(), Errno>> {
        let connection = &self.connections[id];
        if let Some(fault) = connection.fault {
            return Poll::Ready(Err(fault));
        }
        let socket = socket(core, connection.handle);
        let Ok(count) = socket.send_slice(&bytes[*sent..]) else {
            return Poll::Ready(Err(Errno::EPIPE));
        };
        *sent += count;
        core.dirty |= count > 0;
        if *sent == bytes.len() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Gives what has come, or nothing at the end of the stream.
    pub fn poll_pop(&mut self, core: &mut Core, id: usize, into: &mut Buffer) -> Poll<Result<(), Errno>> {
        let connection = &self.connections[id];
        let socket = socket(core, connection.handle);
        match socket.recv_slice(into.spare()) {
            Ok(0) => Poll::Pending,
            Ok(count) => {
                into.advance(count);
                // The window may be worth an announcement.
                core.dirty = true;
                Poll::Ready(Ok(()))
            }
            // What was complete stays complete, even when a reset came after it.
            Err(RecvError::Finished) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(connection.fault.unwrap_or(Errno::ECONNRESET))),
        }
    }

    /// Starts to close a connection in order, once: the FIN follows what is unsent. With unread bytes, the peer gets a reset
    /// instead, because they are lost (RFC 2525, 2.17).
    pub fn close(&mut self, core: &mut Core, id: usize) {
        let connection = &mut self.connections[id];
        if connection.closing.is_some() {
            return;
        }
        let socket = core.sockets.get_mut::<Socket<'_>>(connection.handle);
        if socket.recv_queue() > 0 {
            socket.abort();
        } else {
            socket.close();
        }
        connection.closing = Some(core.now);
        core.dirty = true;
    }

    /// Says whether nothing of ours is unacknowledged any more.
    pub fn closed(&mut self, core: &mut Core, id: usize) -> bool {
        let socket = socket(core, self.connections[id].handle);
        // A connection that sends a reset has a remote end until that is gone.
        match socket.state() {
            State::Closed => socket.remote_endpoint().is_none(),
            state => !unacknowledged(state),
        }
    }

    /// Ends a connection by a reset.
    pub fn abort(&mut self, core: &mut Core, id: usize) {
        socket(core, self.connections[id].handle).abort();
        core.dirty = true;
    }

    /// Ends all connections by which the peer still waits for something of ours.
    pub fn abort_all(&mut self, core: &mut Core) {
        for (_, connection) in &self.connections {
            let socket = core.sockets.get_mut::<Socket<'_>>(connection.handle);
            let state = socket.state();
            // In FIN-WAIT-2 it waits for nothing, but its own FIN would never be acknowledged.
            let waits =
                socket.may_send() || socket.send_queue() > 0 || unacknowledged(state) || state == State::FinWait2;
            if waits {
                socket.abort();
                core.dirty = true;
            }
        }
    }

    /// Lets go of a connection: one that is not closing is reset, and none is kept longer than TCP needs it.
    pub fn release(&mut self, core: &mut Core, id: usize) {
        let connection = &mut self.connections[id];
        connection.owned = false;
        let unread = socket(core, connection.handle).recv_queue() > 0;
        if connection.closing.is_none() || unread {
            self.abort(core, id);
        }
        core.dirty = true;
    }

    /// Lets go of a listener: what it did not accept is reset.
    pub fn release_listener(&mut self, core: &mut Core, listener: usize) {
        for id in self.listeners.remove(listener).waiting {
            self.connections[id].listener = None;
            self.abort(core, id);
        }
    }

    pub fn set_options(&mut self, core: &mut Core, id: usize, options: StreamOptions) {
        let connection = &mut self.connections[id];
        connection.options = options;
        connection.apply_options(core.sockets.get_mut(connection.handle));
        core.dirty = true;
    }

    /// Prepares for a segment: a SYN for a listener gets a socket that takes it. Says whether the segment may go on: a SYN
    /// for a full listener is dropped, and comes again.
    pub fn before(&mut self, core: &mut Core, segment: &Segment) -> bool {
        if !segment.syn || segment.ack || segment.rst {
            return true;
        }
        let ends = (segment.destination, segment.source);
        if !self.make_way(core, &ends) {
            return true;
        }
        let at = |listener: &Listener| {
            let any = listener.local.ip().is_unspecified() || listener.local.ip() == segment.destination.ip();
            any && listener.local.port() == segment.destination.port()
        };
        let Some((key, listener)) = self.listeners.iter().find(|(_, listener)| at(listener)) else { return true };
        if listener.waiting.len() >= listener.backlog {
            return false;
        }
        let options = listener.options;
        let mut socket = connection::socket();
        if socket.listen(listen_endpoint(segment.destination)).is_err() {
            return false;
        }
        let id = self.add(core, socket, segment.destination, segment.source);
        let connection = &mut self.connections[id];
        connection.options = options;
        connection.listener = Some(key);
        connection.apply_options(core.sockets.get_mut(connection.handle));
        self.listeners[key].waiting.push_back(id);
        true
    }

    /// The state that a segment finds, to be given to [`Tcp::after`].
    pub fn state(&mut self, core: &mut Core, segment: &Segment) -> Option<(usize, State)> {
        let id = *self.by_ends.get(&(segment.destination, segment.source))?;
        Some((id, socket(core, self.connections[id].handle).state()))
    }

    /// Draws the consequences of a segment.
    pub fn after(&mut self, core: &mut Core, segment: &Segment, id: usize, before: State) {
        let now = core.now;
        let connection = &mut self.connections[id];
        let socket = core.sockets.get_mut::<Socket<'_>>(connection.handle);
        connection.hear(socket, now);
        // Nobody will read what came after our close, and the peer must know (RFC 1122, 4.2.2.13).
        if !connection.owned && connection.closing.is_some() && socket.recv_queue() > 0 {
            socket.abort();
            core.dirty = true;
        }
        match socket.state() {
            // Refused, or reset before it stood: there never was a connection.
            State::Listen => self.remove(core, id),
            State::Closed if before != State::Closed && segment.rst => {
                let refused = before == State::SynSent;
                connection.fault = Some(if refused { Errno::ECONNREFUSED } else { Errno::ECONNRESET });
            }
            _ => {}
        }
    }

    /// Draws the consequences of an ICMP error: it ends an attempt to connect, and nothing else (RFC 5927).
    pub fn refuse(&mut self, core: &mut Core, refusal: &Refusal) {
        if let Some(&id) = self.by_ends.get(&(refusal.local, refusal.remote)) {
            self.fail_opening(core, id, refusal.errno);
        }
    }

    /// Ends all attempts to connect that `leads_there` says go to a neighbour that does not answer.
    pub fn unreachable(&mut self, core: &mut Core, leads_there: impl Fn(Ipv4Addr) -> bool) {
        let there = |(_, connection): &(usize, &Connection)| leads_there(*connection.remote.ip());
        let ids: Vec<usize> = self.connections.iter().filter(there).map(|(id, _)| id).collect();
        for id in ids {
            self.fail_opening(core, id, Errno::EHOSTUNREACH);
        }
    }

    fn fail_opening(&mut self, core: &mut Core, id: usize, errno: Errno) {
        let connection = &mut self.connections[id];
        let socket = core.sockets.get_mut::<Socket<'_>>(connection.handle);
        if socket.state() == State::SynSent && connection.owned {
            connection.fault = Some(errno);
            connection::forget(socket);
            self.failures += 1;
        }
    }

    /// Looks at all clocks and forgets what is over; says when to look again.
    pub fn review(&mut self, core: &mut Core) -> Option<Instant> {
        let mut next = None;
        let mut over = Vec::new();
        for (id, connection) in &mut self.connections {
            let socket = core.sockets.get_mut::<Socket<'_>>(connection.handle);
            let sound = connection.fault.is_none();
            let again = connection.review(socket, core.now);
            self.failures += u64::from(sound && connection.fault.is_some());
            next = [next, again].into_iter().flatten().min();
            let gone = socket.state() == State::Closed;
            core.dirty |= gone && socket.remote_endpoint().is_some();
            if gone && socket.remote_endpoint().is_none() && !connection.owned {
                let stood = connection.listener.is_some() && connection.fault == Some(Errno::ECONNRESET);
                if !stood {
                    over.push(id);
                }
            }
        }
        for id in over {
            self.remove(core, id);
        }
        next
    }
}
