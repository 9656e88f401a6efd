// SPDX-License-Identifier: MIT
//! catloop: TCP sockets on loopback, carried by shared memory instead of the kernel's TCP.
//!
//! A connection is a duplex region that its caller makes; the listener takes it out of its port's backlog. Ports belong to
//! the whole of 127.0.0.0/8 and to the configured address: one port is one listener, whatever address it was bound to.

mod port;
mod socket;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use queue::{Buffer, Config, Errno, IoPath, OptionName, SocketKind, SocketOption};
use shm::{Close, End, Hub, Popped};

use crate::port::{connection, to_word, Call, Listener, Port};
use crate::socket::{Connection, Options, Socket, State};

abi::export_libos!(Catloop, "catloop");

/// The engine's regions, and what new sockets are given.
pub struct Catloop {
    hub: Hub,
    options: Options,
    /// An address beside those of loopback that is this node's.
    local: Option<Ipv4Addr>,
    /// Where the search for an ephemeral port starts.
    next_port: u16,
}

impl Catloop {
    fn is_local(&self, address: Ipv4Addr) -> bool {
        address.is_loopback() || address.is_unspecified() || Some(address) == self.local
    }
}

impl IoPath for Catloop {
    type Queue = Socket;

    const SELF_DRIVEN: bool = true;
    const GLANCES: u32 = 256;

    fn open(config: &Config) -> Result<Catloop, Errno> {
        Ok(Catloop { hub: Hub::new()?, options: Options::new(config), local: config.local_ipv4, next_port: 0 })
    }

    fn socket(&mut self, kind: SocketKind) -> Result<Socket, Errno> {
        match kind {
            SocketKind::Stream => Ok(Socket::new(self.options)),
            SocketKind::Datagram => Err(Errno::ENOTSUP),
        }
    }

    fn bind(&mut self, queue: &mut Socket, local: SocketAddrV4) -> Result<(), Errno> {
        if !self.is_local(*local.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        queue.port = Some(Port::take(&mut self.hub, local, &mut self.next_port)?);
        Ok(())
    }

    fn listen(&mut self, queue: &mut Socket, backlog: u32) -> Result<(), Errno> {
        let port = queue.port.as_ref().ok_or(Errno::EDESTADDRREQ)?;
        port.listen(backlog);
        queue.state = State::Listening;
        Ok(())
    }

    fn connect(&mut self, queue: &mut Socket, remote: SocketAddrV4) -> Result<(), Errno> {
        if !self.is_local(*remote.ip()) {
            return Err(Errno::ENETUNREACH);
        }
        let listener = Listener::find(remote.port())?;
        let local = match &queue.port {
            Some(port) => Rc::clone(port),
            None => {
                let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
                Rc::clone(queue.port.insert(Port::take(&mut self.hub, any, &mut self.next_port)?))
            }
        };
        let caller = local.address.port();
        let end = End::create(&mut self.hub, &connection(remote.port(), caller)).map_err(|errno| match errno {
            Errno::EEXIST => Errno::EADDRINUSE,
            other => other,
        })?;
        end.ours().address.store(to_word(local.address), Ordering::Release);
        queue.state = State::Calling { listener, remote, end };
        Ok(())
    }

    fn poll_connect(&mut self, queue: &mut Socket) -> Poll<Result<(), Errno>> {
        let State::Calling { listener, end, .. } = &queue.state else { return Poll::Ready(Err(Errno::ENOTCONN)) };
        let word = end.ours().address.load(Ordering::Relaxed);
        match listener.call(&self.hub, port::to_address(word)) {
            Ok(Call::Busy) => return Poll::Pending,
            Ok(Call::Waiting) => {}
            Err(errno) => {
                queue.state = State::Idle;
                return Poll::Ready(Err(errno));
            }
        }
        if let State::Calling { listener, remote, end } = std::mem::replace(&mut queue.state, State::Idle) {
            let awaited = Some((listener, self.hub.pulses()));
            queue.state = State::Connected(Connection { end, peer: remote, awaited });
        }
        Poll::Ready(Ok(()))
    }

    fn poll_accept(&mut self, queue: &mut Socket) -> Poll<Result<(Socket, SocketAddrV4), Errno>> {
        let Some(port) = &queue.port else { return Poll::Ready(Err(Errno::EINVAL)) };
        while let Some(peer) = port.next() {
            // A caller that died, or reset the connection, is passed over; one that closed it waits for us.
            match answer(&mut self.hub, port, peer) {
                Ok(end) => {
                    let state = State::Connected(Connection { end, peer, awaited: None });
                    return Poll::Ready(Ok((Socket { state, port: None, options: self.options }, peer)));
                }
                Err(errno) => log::info!("{peer} called and went: {errno}"),
            }
        }
        Poll::Pending
    }

    fn poll_push(
        &mut self,
        queue: &mut Socket,
        bytes: &[u8],
        sent: &mut usize,
        _: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        let State::Connected(connection) = &mut queue.state else { return Poll::Ready(Err(Errno::ENOTCONN)) };
        *sent += connection.end.push(&bytes[*sent..])?;
        if *sent < bytes.len() {
            return connection.missed(&self.hub).map_or(Poll::Pending, |errno| Poll::Ready(Err(errno)));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_pop(&mut self, queue: &mut Socket, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        let State::Connected(connection) = &mut queue.state else { return Poll::Ready(Err(Errno::ENOTCONN)) };
        match connection.end.pop(into)? {
            Popped::Bytes | Popped::End => Poll::Ready(Ok(None)),
            Popped::Nothing => connection.missed(&self.hub).map_or(Poll::Pending, |errno| Poll::Ready(Err(errno))),
        }
    }

    fn waiting(&self, queue: &Socket) -> usize {
        match &queue.state {
            State::Connected(connection) => connection.end.waiting(),
            _ => 0,
        }
    }

    /// What was pushed lies in the ring for the peer to read, so there is nothing to linger for, once there is a peer: who
    /// accepts later finds bytes and end. Unread bytes, and a linger time of zero, reset the connection (RFC 2525, section
    /// 2.17; socket(7)).
    fn poll_close(&mut self, queue: &mut Socket) -> Poll<Result<(), Errno>> {
        match &mut queue.state {
            State::Connected(connection) => {
                let reset = queue.options.linger == Some(Duration::ZERO) || connection.end.waiting() > 0;
                connection.end.close(if reset { Close::Reset } else { Close::Orderly });
                let alone = connection.awaited.is_some() && !connection.end.met();
                if alone && !reset && connection.missed(&self.hub).is_none() {
                    return Poll::Pending;
                }
            }
            State::Listening => {
                let Some(port) = &queue.port else { return Poll::Ready(Ok(())) };
                port.hang_up();
                while let Some(peer) = port.next() {
                    if let Ok(end) = answer(&mut self.hub, port, peer) {
                        end.close(Close::Reset);
                    }
                }
            }
            State::Idle | State::Calling { .. } => {}
        }
        Poll::Ready(Ok(()))
    }

    fn set_option(&mut self, queue: &mut Socket, option: SocketOption) -> Result<(), Errno> {
        queue.options.set(option);
        Ok(())
    }

    fn option(&mut self, queue: &mut Socket, name: OptionName) -> Result<SocketOption, Errno> {
        Ok(queue.options.get(name))
    }

    fn peer_name(&mut self, queue: &mut Socket) -> Result<SocketAddrV4, Errno> {
        match &queue.state {
            State::Connected(connection) => Ok(connection.peer),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn poll_io(&mut self, now: Instant) -> bool {
        self.hub.pulse(now);
        false
    }

    fn idle(&mut self, now: Instant, until: Option<Instant>) {
        self.hub.idle(now, until);
    }
}

impl Connection {
    /// Whether the listener that should accept this connection died first: then it is reset.
    fn missed(&mut self, hub: &Hub) -> Option<Errno> {
        let (listener, seen) = self.awaited.as_mut()?;
        if *seen == hub.pulses() {
            return None;
        }
        *seen = hub.pulses();
        if self.end.met() {
            self.awaited = None;
            return None;
        }
        (!listener.lives()).then_some(Errno::ECONNRESET)
    }
}

/// Open a caller's connection at the listener's end.
fn answer(hub: &mut Hub, port: &Port, peer: SocketAddrV4) -> Result<End, Errno> {
    let end = End::attach(hub, &connection(port.address.port(), peer.port()))?;
    end.unlink();
    Ok(end)
}
