// SPDX-License-Identifier: MIT
//! The flavor `catnap`: PDPIX over the sockets of Linux, non-blocking, woken by an edge-triggered epoll(7).

mod events;
mod socket;

use std::net::SocketAddrV4;
use std::task::Poll;
use std::time::{Duration, Instant};

use queue::{Buffer, Config, Errno, IoPath, OptionName, SocketKind, SocketOption, TcpOptions};

pub use socket::Socket;

use events::Events;

abi::export_libos!(Catnap, "catnap");

/// The path: an epoll instance, and what new sockets are given.
pub struct Catnap {
    events: Events,
    tcp: TcpOptions,
}

impl IoPath for Catnap {
    type Queue = Socket;

    const SELF_DRIVEN: bool = true;

    fn open(config: &Config) -> Result<Catnap, Errno> {
        let spins = config.spin != Some(Duration::ZERO);
        Ok(Catnap { events: Events::open(spins)?, tcp: config.tcp.clone() })
    }

    fn socket(&mut self, kind: SocketKind) -> Result<Socket, Errno> {
        let mut socket = Socket::open(&self.events, kind)?;
        if kind == SocketKind::Stream {
            socket.configure(&self.tcp)?;
        }
        Ok(socket)
    }

    fn bind(&mut self, socket: &mut Socket, local: SocketAddrV4) -> Result<(), Errno> {
        socket.bind(local)
    }

    fn listen(&mut self, socket: &mut Socket, backlog: u32) -> Result<(), Errno> {
        socket.listen(backlog)
    }

    fn connect(&mut self, socket: &mut Socket, remote: SocketAddrV4) -> Result<(), Errno> {
        socket.connect(remote)
    }

    fn poll_connect(&mut self, socket: &mut Socket) -> Poll<Result<(), Errno>> {
        socket.poll_connect()
    }

    fn poll_accept(&mut self, socket: &mut Socket) -> Poll<Result<(Socket, SocketAddrV4), Errno>> {
        socket.poll_accept(&self.events)
    }

    fn poll_push(
        &mut self,
        socket: &mut Socket,
        bytes: &[u8],
        sent: &mut usize,
        to: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        socket.poll_push(bytes, sent, to)
    }

    fn poll_pop(&mut self, socket: &mut Socket, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        socket.poll_pop(into)
    }

    /// The kernel sends what is unsent after the socket is gone.
    fn poll_close(&mut self, _socket: &mut Socket) -> Poll<Result<(), Errno>> {
        Poll::Ready(Ok(()))
    }

    fn set_option(&mut self, socket: &mut Socket, option: SocketOption) -> Result<(), Errno> {
        socket.set_option(option)
    }

    fn option(&mut self, socket: &mut Socket, name: OptionName) -> Result<SocketOption, Errno> {
        socket.option(name)
    }

    fn peer_name(&mut self, socket: &mut Socket) -> Result<SocketAddrV4, Errno> {
        socket.peer_name()
    }

    fn poll_io(&mut self, _now: Instant) -> bool {
        self.events.poll()
    }

    fn idle(&mut self, now: Instant, until: Option<Instant>) {
        self.events.wait(until.map(|until| until.saturating_duration_since(now)));
    }
}
