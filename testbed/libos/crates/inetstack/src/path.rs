// SPDX-License-Identifier: MIT
//! The stack as an I/O path of the queue API.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use queue::{Buffer, Config, Errno, IoPath, OptionName, SocketKind, SocketOption};

use crate::connection::StreamOptions;
use crate::core::length;
use crate::device::FrameDevice;
use crate::routes::Hop;
use crate::settings::Settings;
use crate::stack::Stack;
use crate::udp::addressable;

/// A device that a configuration opens.
pub trait OpenDevice: FrameDevice + Sized {
    /// Opens the device that the configuration names.
    ///
    /// # Errors
    /// What the system says, or `EINVAL` with a line in the log.
    fn open(config: &Config) -> Result<Self, Errno>;
}

/// What an endpoint is.
#[derive(Clone, Copy, Debug)]
enum Role {
    Fresh,
    Listener(usize),
    Stream(usize),
    Datagrams(usize),
}

/// What dropped endpoints leave for the stack to clear away.
#[derive(Clone, Copy, Debug)]
struct Remains {
    role: Role,
    kind: SocketKind,
    port: Option<u16>,
}

/// A socket of the stack.
#[derive(Debug)]
pub struct Endpoint {
    kind: SocketKind,
    role: Role,
    local: Option<SocketAddrV4>,
    /// The local port, where it is this endpoint's own.
    port: Option<u16>,
    options: StreamOptions,
    linger: Option<Duration>,
    /// When the close of a lingering stream is given up.
    gives_up: Option<Instant>,
    remains: Rc<RefCell<Vec<Remains>>>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let remains = Remains { role: self.role, kind: self.kind, port: self.port };
        self.remains.borrow_mut().push(remains);
    }
}

/// A flavor: a stack on a device.
pub struct Inet<D: FrameDevice> {
    stack: Stack<D>,
    remains: Rc<RefCell<Vec<Remains>>>,
    options: StreamOptions,
    linger: Option<Duration>,
    now: Instant,
    /// Waits spin: it is real time, where a look at the clock is cheap. In virtual time it is a system call, which is charged,
    /// and datagrams wait for the poll that makes it anyway.
    spins: bool,
}

impl<D: FrameDevice> Inet<D> {
    /// Puts the flavor together on a device that is open already; its clocks start now.
    ///
    /// # Errors
    /// `EINVAL`: a setting, with a line in the log.
    pub fn on(device: D, config: &Config, now: Instant) -> Result<Self, Errno> {
        let settings = Settings::new(config)?;
        let keep_alive = config.tcp.keep_alive;
        let options = StreamOptions {
            no_delay: config.tcp.no_delay.unwrap_or(false),
            keep_alive: keep_alive.is_some_and(|keep_alive| keep_alive.enabled),
            keep_alive_time: keep_alive.and_then(|keep_alive| keep_alive.time).map(length),
            keep_alive_interval: keep_alive.and_then(|keep_alive| keep_alive.interval).map(length),
        };
        let stack = Stack::new(device, &settings, now);
        let spins = config.spin != Some(Duration::ZERO);
        Ok(Self { stack, remains: Rc::default(), options, linger: config.tcp.linger.flatten(), now, spins })
    }

    /// The stack below.
    pub fn stack(&mut self) -> &mut Stack<D> {
        &mut self.stack
    }

    fn endpoint(&self, kind: SocketKind, role: Role) -> Endpoint {
        Endpoint {
            kind,
            role,
            local: None,
            port: None,
            options: self.options,
            linger: self.linger,
            gives_up: None,
            remains: Rc::clone(&self.remains),
        }
    }

    /// Clears away what dropped endpoints left, which most often is nothing.
    #[inline]
    fn bury(&mut self) {
        if !self.remains.borrow().is_empty() {
            self.bury_remains();
        }
    }

    #[cold]
    fn bury_remains(&mut self) {
        while let Some(Remains { role, kind, port }) = self.pop_remains() {
            let Stack { core, tcp, udp, ports, .. } = &mut self.stack;
            match role {
                Role::Fresh => {}
                Role::Listener(id) => tcp.release_listener(core, id),
                Role::Stream(id) => tcp.release(core, id),
                Role::Datagrams(id) => udp.close(core, id),
            }
            if let Some(port) = port {
                ports.give(kind, port);
            }
        }
    }

    fn pop_remains(&mut self) -> Option<Remains> {
        self.remains.borrow_mut().pop()
    }

    /// Binds an endpoint.
    fn take_address(&mut self, queue: &mut Endpoint, local: SocketAddrV4) -> Result<(), Errno> {
        self.bury();
        if queue.local.is_some() {
            return Err(Errno::EINVAL);
        }
        if !self.stack.is_local(*local.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let port = self.stack.take_port(queue.kind, local.port())?;
        queue.port = Some(port);
        let local = SocketAddrV4::new(*local.ip(), port);
        queue.local = Some(local);
        if queue.kind == SocketKind::Datagram {
            queue.role = Role::Datagrams(self.stack.udp.open(&mut self.stack.core, local)?);
        }
        Ok(())
    }

    /// Gives an endpoint that has none a local address: an ephemeral port.
    fn bind_any(&mut self, queue: &mut Endpoint) -> Result<SocketAddrV4, Errno> {
        if queue.local.is_none() {
            self.take_address(queue, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))?;
        }
        queue.local.ok_or(Errno::EADDRNOTAVAIL)
    }

    /// Gives the id of a datagram socket, bound now where it was not.
    fn datagrams(&mut self, queue: &mut Endpoint) -> Result<usize, Errno> {
        self.bind_any(queue)?;
        match queue.role {
            Role::Datagrams(id) => Ok(id),
            _ => Err(Errno::ENOTSUP),
        }
    }

    /// Pending as long as a close may wait; after that it goes on in the background.
    fn linger(&mut self, queue: &mut Endpoint) -> Poll<Result<(), Errno>> {
        let Some(linger) = queue.linger else { return Poll::Pending };
        let gives_up = match queue.gives_up {
            Some(at) => at,
            None => {
                let at = self.now + linger;
                self.stack.alarm(at);
                *queue.gives_up.insert(at)
            }
        };
        if gives_up <= self.now {
            return Poll::Ready(Err(Errno::EAGAIN));
        }
        Poll::Pending
    }

    fn connect_stream(&mut self, queue: &mut Endpoint, remote: SocketAddrV4) -> Result<(), Errno> {
        // As on Linux, the unspecified address is ourselves.
        let to = if remote.ip().is_unspecified() { Ipv4Addr::LOCALHOST } else { *remote.ip() };
        let remote = SocketAddrV4::new(to, remote.port());
        if remote.port() == 0 {
            return Err(Errno::ECONNREFUSED);
        }
        if remote.ip().is_multicast() || remote.ip().is_broadcast() {
            return Err(Errno::ENETUNREACH);
        }
        let source = self.stack.source_for(to)?;
        let local = self.bind_any(queue)?;
        let ip = if local.ip().is_unspecified() { source } else { *local.ip() };
        let local = SocketAddrV4::new(ip, local.port());
        let Stack { core, tcp, .. } = &mut self.stack;
        queue.role = Role::Stream(tcp.connect(core, local, remote, queue.options)?);
        Ok(())
    }

    fn push_datagram(
        &mut self,
        queue: &mut Endpoint,
        bytes: &[u8],
        to: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        let id = self.datagrams(queue)?;
        let to = to.or(self.stack.udp.peer(id)).ok_or(Errno::EDESTADDRREQ)?;
        if !addressable(to) {
            return Poll::Ready(Err(Errno::EINVAL));
        }
        if to.ip().is_broadcast() {
            return Poll::Ready(Err(Errno::EACCES));
        }
        match self.stack.link.routes.next_hop(*to.ip()) {
            Hop::Unreachable => return Poll::Ready(Err(Errno::ENETUNREACH)),
            Hop::Neighbour(neighbour) if self.spins && self.stack.gather(id, bytes, to, neighbour) => {
                return Poll::Ready(Ok(()));
            }
            _ => {}
        }
        self.stack.udp.poll_push(&mut self.stack.core, id, bytes, to)
    }
}

impl<D: FrameDevice> Drop for Inet<D> {
    /// A peer that still waits for something hears of the end.
    fn drop(&mut self) {
        self.stack.tcp.abort_all(&mut self.stack.core);
        self.stack.poll(self.now);
    }
}

impl<D: OpenDevice> IoPath for Inet<D> {
    type Queue = Endpoint;

    const GLANCES: u32 = 16;

    /// No kernel goes on after the process: what is lost on the way must be sent again until then.
    const LAST_WORDS: Duration = Duration::from_secs(30);

    fn open(config: &Config) -> Result<Self, Errno> {
        Self::on(D::open(config)?, config, Instant::now())
    }

    fn socket(&mut self, kind: SocketKind) -> Result<Endpoint, Errno> {
        Ok(self.endpoint(kind, Role::Fresh))
    }

    fn bind(&mut self, queue: &mut Endpoint, local: SocketAddrV4) -> Result<(), Errno> {
        self.take_address(queue, local)
    }

    fn listen(&mut self, queue: &mut Endpoint, backlog: u32) -> Result<(), Errno> {
        let local = queue.local.ok_or(Errno::EDESTADDRREQ)?;
        if queue.kind != SocketKind::Stream {
            return Err(Errno::ENOTSUP);
        }
        let Role::Fresh = queue.role else { return Err(Errno::EINVAL) };
        self.bury();
        queue.role = Role::Listener(self.stack.tcp.listen(local, backlog, queue.options));
        Ok(())
    }

    fn connect(&mut self, queue: &mut Endpoint, remote: SocketAddrV4) -> Result<(), Errno> {
        self.bury();
        match (queue.kind, queue.role) {
            (SocketKind::Datagram, _) => {
                self.stack.source_for(*remote.ip())?;
                let id = self.datagrams(queue)?;
                self.stack.udp.connect(id, remote);
                Ok(())
            }
            (SocketKind::Stream, Role::Fresh) => self.connect_stream(queue, remote),
            (SocketKind::Stream, Role::Stream(_)) => Err(Errno::EISCONN),
            (SocketKind::Stream, _) => Err(Errno::EINVAL),
        }
    }

    fn poll_connect(&mut self, queue: &mut Endpoint) -> Poll<Result<(), Errno>> {
        let Role::Stream(id) = queue.role else { return Poll::Ready(Ok(())) };
        let polled = self.stack.tcp.poll_connect(&mut self.stack.core, id);
        if let Poll::Ready(Err(_)) = polled {
            self.stack.tcp.release(&mut self.stack.core, id);
            queue.role = Role::Fresh;
        }
        polled
    }

    fn poll_accept(&mut self, queue: &mut Endpoint) -> Poll<Result<(Endpoint, SocketAddrV4), Errno>> {
        let Role::Listener(listener) = queue.role else { return Poll::Ready(Err(Errno::EINVAL)) };
        let Some(id) = self.stack.tcp.poll_accept(&mut self.stack.core, listener) else { return Poll::Pending };
        let (local, remote) = self.stack.tcp.ends(id);
        let mut accepted = self.endpoint(SocketKind::Stream, Role::Stream(id));
        accepted.local = Some(local);
        accepted.options = queue.options;
        accepted.linger = queue.linger;
        Poll::Ready(Ok((accepted, remote)))
    }

    fn poll_push(
        &mut self,
        queue: &mut Endpoint,
        bytes: &[u8],
        sent: &mut usize,
        to: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        match (queue.kind, queue.role) {
            (SocketKind::Datagram, _) => {
                let polled = self.push_datagram(queue, bytes, to);
                if let Poll::Ready(Ok(())) = polled {
                    *sent = bytes.len();
                }
                polled
            }
            (_, Role::Stream(id)) => self.stack.tcp.poll_push(&mut self.stack.core, id, bytes, sent),
            _ => Poll::Ready(Err(Errno::ENOTCONN)),
        }
    }

    fn poll_pop(&mut self, queue: &mut Endpoint, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        match queue.role {
            Role::Stream(id) => self.stack.tcp.poll_pop(&mut self.stack.core, id, into).map_ok(|()| None),
            Role::Datagrams(id) => self.stack.udp.poll_pop(id, into).map_ok(Some),
            // A datagram socket that is not bound hears nothing; nothing is wrong with waiting.
            Role::Fresh if queue.kind == SocketKind::Datagram => Poll::Pending,
            _ => Poll::Ready(Err(Errno::ENOTCONN)),
        }
    }

    fn waiting(&self, queue: &Endpoint) -> usize {
        match queue.role {
            Role::Datagrams(id) => self.stack.udp.waiting(id),
            _ => 0,
        }
    }

    fn has_input(&mut self) -> bool {
        self.stack.has_input()
    }

    fn poll_close(&mut self, queue: &mut Endpoint) -> Poll<Result<(), Errno>> {
        let Stack { core, tcp, udp, link, .. } = &mut self.stack;
        match queue.role {
            Role::Fresh | Role::Listener(_) => Poll::Ready(Ok(())),
            // What waits for its neighbour would be lost with a process that ends now.
            Role::Datagrams(id) if udp.sent(core, id) && !link.neighbours.holds() => Poll::Ready(Ok(())),
            Role::Datagrams(_) => Poll::Pending,
            // SO_LINGER of 0: a reset at once (socket(7)).
            Role::Stream(id) if queue.linger == Some(Duration::ZERO) => {
                tcp.abort(core, id);
                Poll::Ready(Ok(()))
            }
            Role::Stream(id) => {
                tcp.close(core, id);
                if tcp.closed(core, id) {
                    return Poll::Ready(Ok(()));
                }
                self.linger(queue)
            }
        }
    }

    fn set_option(&mut self, queue: &mut Endpoint, option: SocketOption) -> Result<(), Errno> {
        match option {
            SocketOption::Linger(linger) => {
                queue.linger = linger;
                return Ok(());
            }
            _ if queue.kind == SocketKind::Datagram => return Err(Errno::ENOPROTOOPT),
            SocketOption::KeepAlive(on) => queue.options.keep_alive = on,
            SocketOption::NoDelay(on) => queue.options.no_delay = on,
        }
        if let Role::Stream(id) = queue.role {
            self.stack.tcp.set_options(&mut self.stack.core, id, queue.options);
        }
        Ok(())
    }

    fn option(&mut self, queue: &mut Endpoint, name: OptionName) -> Result<SocketOption, Errno> {
        match name {
            OptionName::Linger => Ok(SocketOption::Linger(queue.linger)),
            _ if queue.kind == SocketKind::Datagram => Err(Errno::ENOPROTOOPT),
            OptionName::KeepAlive => Ok(SocketOption::KeepAlive(queue.options.keep_alive)),
            OptionName::NoDelay => Ok(SocketOption::NoDelay(queue.options.no_delay)),
        }
    }

    fn peer_name(&mut self, queue: &mut Endpoint) -> Result<SocketAddrV4, Errno> {
        match queue.role {
            Role::Stream(id) => Ok(self.stack.tcp.ends(id).1),
            Role::Datagrams(id) => self.stack.udp.peer(id).ok_or(Errno::ENOTCONN),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn poll_io(&mut self, now: Instant) -> bool {
        self.now = now;
        self.bury();
        self.stack.poll(now)
    }

    /// What is ready to go does not wait for a look at the clock.
    fn attend(&mut self) {
        self.stack.flush();
        self.poll_io(Instant::now());
    }

    fn idle(&mut self, now: Instant, until: Option<Instant>) {
        self.stack.wait(now, until, None);
    }

    fn idle_or(&mut self, wake: BorrowedFd<'_>) {
        self.stack.wait(Instant::now(), None, Some(wake));
    }
}
