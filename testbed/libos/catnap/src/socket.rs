// SPDX-License-Identifier: MIT
//! One socket of Linux: tried first, waited for only when the kernel refuses.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::task::Poll;
use std::time::Duration;

use queue::{Buffer, Errno, OptionName, SocketKind, SocketOption, TcpOptions};
use rustix::io::Errno as Refusal;
use rustix::net::{self, sockopt, AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType};

use crate::events::{errno, Events, Place};

pub struct Socket {
    // Dropped first, so that the descriptor leaves the epoll instance before its place is given away.
    fd: OwnedFd,
    place: Place,
    kind: SocketKind,
    /// How long a close may wait. Linux would block in close(2), even here, so it is only told of zero: a reset.
    linger: Option<Duration>,
}

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

impl Socket {
    pub fn open(events: &Events, kind: SocketKind) -> Result<Socket, Errno> {
        let which = match kind {
            SocketKind::Stream => SocketType::STREAM,
            SocketKind::Datagram => SocketType::DGRAM,
        };
        let fd = net::socket_with(AddressFamily::INET, which, FLAGS, None).map_err(errno)?;
        Ok(Socket { fd, place: events.place(), kind, linger: None })
    }

    /// Give a stream the options of the configuration.
    pub fn configure(&mut self, options: &TcpOptions) -> Result<(), Errno> {
        if let Some(linger) = options.linger {
            self.set_option(SocketOption::Linger(linger))?;
        }
        if let Some(on) = options.no_delay {
            sockopt::set_tcp_nodelay(&self.fd, on).map_err(errno)?;
        }
        if let Some(keep) = options.keep_alive {
            sockopt::set_socket_keepalive(&self.fd, keep.enabled).map_err(errno)?;
            if let Some(time) = keep.time {
                sockopt::set_tcp_keepidle(&self.fd, at_least_a_second(time)).map_err(errno)?;
            }
            if let Some(interval) = keep.interval {
                sockopt::set_tcp_keepintvl(&self.fd, at_least_a_second(interval)).map_err(errno)?;
            }
        }
        Ok(())
    }

    /// An address that only old connections in TIME-WAIT still have is free, one that another socket has is not. Linux
    /// says so for a socket that takes part in SO_REUSEADDR while it binds, but neither before nor after (socket(7),
    /// net/ipv4/inet_connection_sock.c: inet_csk_bind_conflict).
    pub fn bind(&mut self, local: SocketAddrV4) -> Result<(), Errno> {
        let first = net::bind(&self.fd, &local);
        if first != Err(Refusal::ADDRINUSE) || self.kind == SocketKind::Datagram {
            return first.map_err(errno);
        }
        self.share_address(true)?;
        let second = net::bind(&self.fd, &local).map_err(errno);
        self.share_address(false)?;
        second
    }

    /// Connections of this listener shall not keep its address from the next listener.
    pub fn listen(&mut self, backlog: u32) -> Result<(), Errno> {
        self.share_address(true)?;
        net::listen(&self.fd, i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(errno)
    }

    fn share_address(&self, on: bool) -> Result<(), Errno> {
        sockopt::set_socket_reuseaddr(&self.fd, on).map_err(errno)
    }

    pub fn connect(&mut self, remote: SocketAddrV4) -> Result<(), Errno> {
        let started = match net::connect(&self.fd, &remote) {
            // The end of an attempt before this one, told only now (net/ipv4/af_inet.c: __inet_stream_connect).
            Err(Refusal::CONNABORTED) => net::connect(&self.fd, &remote),
            other => other,
        };
        match started {
            Err(Refusal::INPROGRESS) => self.place.refused(&self.fd, |ready| ready.write = false),
            other => other.map_err(errno),
        }
    }

    pub fn poll_connect(&mut self) -> Poll<Result<(), Errno>> {
        if !self.place.readiness().write {
            return Poll::Pending;
        }
        if let Err(refusal) = sockopt::socket_error(&self.fd).and_then(|error| error) {
            return Poll::Ready(Err(errno(refusal)));
        }
        match net::getpeername(&self.fd) {
            // News of an attempt before this one.
            Err(Refusal::NOTCONN) => self.pending(|place, fd| place.refused(fd, |ready| ready.write = false)),
            other => Poll::Ready(other.map(drop).map_err(errno)),
        }
    }

    pub fn poll_accept(&mut self, events: &Events) -> Poll<Result<(Socket, SocketAddrV4), Errno>> {
        while self.place.readiness().read {
            match net::acceptfrom_with(&self.fd, FLAGS) {
                Ok((fd, peer)) => {
                    // Linux hands down the listener's options (socket(7)).
                    let socket = Socket { fd, place: events.place(), kind: SocketKind::Stream, linger: self.linger };
                    return Poll::Ready(peer.ok_or(Errno::EIO).and_then(version_4).map(|peer| (socket, peer)));
                }
                Err(Refusal::WOULDBLOCK) => {
                    return self.pending(|place, fd| place.refused(fd, |ready| ready.read = false));
                }
                // Gone before it was accepted: the next one, please.
                Err(Refusal::CONNABORTED | Refusal::INTR) => {}
                Err(refusal) => return Poll::Ready(Err(errno(refusal))),
            }
        }
        Poll::Pending
    }

    pub fn poll_push(&mut self, bytes: &[u8], sent: &mut usize, to: Option<SocketAddrV4>) -> Poll<Result<(), Errno>> {
        while self.place.readiness().write {
            let rest = &bytes[*sent..];
            let done = match to {
                Some(to) => net::sendto(&self.fd, rest, SendFlags::NOSIGNAL, &to),
                None => net::send(&self.fd, rest, SendFlags::NOSIGNAL),
            };
            match done {
                Ok(count) => {
                    *sent += count;
                    if *sent == bytes.len() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(Refusal::WOULDBLOCK) => {
                    return self.pending(|place, fd| place.refused(fd, |ready| ready.write = false));
                }
                Err(Refusal::INTR) => {}
                Err(refusal) => return Poll::Ready(Err(errno(refusal))),
            }
        }
        Poll::Pending
    }

    pub fn poll_pop(&mut self, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        while self.place.readiness().read {
            let room = into.spare().len();
            let done = match self.kind {
                SocketKind::Stream => net::recv(&self.fd, into.spare(), RecvFlags::empty()).map(|(n, _)| (n, None)),
                SocketKind::Datagram => {
                    net::recvfrom(&self.fd, into.spare(), RecvFlags::empty()).map(|(n, _, from)| (n, from))
                }
            };
            match done {
                Ok((count, from)) => {
                    into.advance(count);
                    if self.kind == SocketKind::Stream && count < room {
                        self.place.drained();
                    }
                    return Poll::Ready(from.map(version_4).transpose());
                }
                Err(Refusal::WOULDBLOCK) => {
                    return self.pending(|place, fd| place.refused(fd, |ready| ready.read = false));
                }
                Err(Refusal::INTR) => {}
                Err(refusal) => return Poll::Ready(Err(errno(refusal))),
            }
        }
        Poll::Pending
    }

    fn pending<T>(&mut self, wait: impl FnOnce(&mut Place, &OwnedFd) -> Result<(), Errno>) -> Poll<Result<T, Errno>> {
        match wait(&mut self.place, &self.fd) {
            Ok(()) => Poll::Pending,
            Err(errno) => Poll::Ready(Err(errno)),
        }
    }

    pub fn set_option(&mut self, option: SocketOption) -> Result<(), Errno> {
        match option {
            SocketOption::Linger(time) => {
                let abort = time.filter(Duration::is_zero);
                sockopt::set_socket_linger(&self.fd, abort).map_err(errno)?;
                self.linger = time;
                Ok(())
            }
            SocketOption::KeepAlive(on) => sockopt::set_socket_keepalive(&self.fd, on).map_err(errno),
            SocketOption::NoDelay(on) => sockopt::set_tcp_nodelay(&self.fd, on).map_err(errno),
        }
    }

    pub fn option(&self, name: OptionName) -> Result<SocketOption, Errno> {
        match name {
            OptionName::Linger => Ok(SocketOption::Linger(self.linger)),
            OptionName::KeepAlive => sockopt::socket_keepalive(&self.fd).map(SocketOption::KeepAlive).map_err(errno),
            OptionName::NoDelay => sockopt::tcp_nodelay(&self.fd).map(SocketOption::NoDelay).map_err(errno),
        }
    }

    pub fn peer_name(&self) -> Result<SocketAddrV4, Errno> {
        net::getpeername(&self.fd).map_err(errno).and_then(|peer| version_4(peer.ok_or(Errno::ENOTCONN)?))
    }
}

fn version_4(address: SocketAddrAny) -> Result<SocketAddrV4, Errno> {
    match SocketAddr::try_from(address) {
        Ok(SocketAddr::V4(address)) => Ok(address),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Linux counts these in whole seconds, from 1 on (tcp(7)).
fn at_least_a_second(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(1))
}
