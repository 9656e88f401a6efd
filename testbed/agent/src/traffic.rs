// SPDX-License-Identifier: MIT
//! Traffic of the agent's own making: sources that send at given times, sinks that count what arrives.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::clock::Clock;
use crate::error::{Context, Error, Result};
use crate::protocol::{Role, Tally};
use crate::remote::Sockets;
use crate::sys;

/// A packet is at most this many bytes.
const MOST_BYTES: usize = 1 << 20;
/// Room for what one read gives: any datagram fits.
const ROOM: usize = 1 << 16;
/// Reads of one socket at a time; the others have their turn, too.
const READS: usize = 256;

impl Tally {
    fn count(&mut self, bytes: usize, now: i64) {
        self.messages += 1;
        self.bytes += bytes as u64;
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// Read what is there now. False where nothing can come any more.
    fn read(&mut self, fd: BorrowedFd<'_>, ends: bool, room: &mut [u8], clock: &Clock) -> bool {
        for _ in 0..READS {
            match sys::recvmsg(fd, room, libc::MSG_DONTWAIT) {
                Ok((0, ..)) if ends => {
                    self.ended += 1;
                    return false;
                }
                Ok((length, ..)) => self.count(length, clock.now()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) => {
                    self.errno = e.raw_os_error();
                    self.ended += u64::from(ends);
                    return !ends;
                }
            }
        }
        true
    }
}

struct Source {
    packet: Vec<u8>,
    addr: Option<Vec<u8>>,
    /// Ascending.
    at: Vec<i64>,
    sent: usize,
    tally: Tally,
}

impl Source {
    /// Send one packet, which begins with its number (big-endian, from 0) as far as it is that long.
    fn send(&mut self, fd: BorrowedFd<'_>, now: i64) {
        let number = (self.sent as u64).to_be_bytes();
        let length = self.packet.len();
        let head = number.len().min(length);
        self.packet[..head].copy_from_slice(&number[..head]);
        self.sent += 1;
        match sys::sendto(fd, &self.packet, libc::MSG_DONTWAIT, self.addr.as_deref()) {
            Ok(taken) => {
                self.tally.count(taken, now);
                self.tally.refused += (length - taken) as u64;
            }
            Err(e) => {
                self.tally.refused += length as u64;
                self.tally.errno = e.raw_os_error();
            }
        }
    }

    /// Packets whose time has not come.
    fn left(&self) -> u64 {
        (self.at.len() - self.sent) as u64
    }
}

struct Sink {
    /// Whether it accepts connections rather than reads.
    listens: bool,
    /// Whether an empty read is the end.
    ends: bool,
    open: bool,
    accepted: Vec<OwnedFd>,
    tally: Tally,
}

impl Sink {
    fn new(fd: BorrowedFd<'_>) -> Result<Self> {
        let number = |name| -> Result<i32> {
            let value = sys::getsockopt(fd, libc::SOL_SOCKET, name, 4).context(|| "getsockopt of a sink")?;
            Ok(i32::from_ne_bytes(value.try_into().unwrap_or_default()))
        };
        let kind = number(libc::SO_TYPE)?;
        let ends = !matches!(kind, libc::SOCK_DGRAM | libc::SOCK_RAW);
        // A one-to-many SCTP socket listens and is read all the same (sctp(7)).
        let listens = number(libc::SO_ACCEPTCONN)? != 0 && kind != libc::SOCK_SEQPACKET;
        Ok(Sink { listens, ends, open: true, accepted: Vec::new(), tally: Tally::default() })
    }

    /// Take the connections that wait. False where no more can come.
    fn accept(&mut self, fd: BorrowedFd<'_>) -> bool {
        loop {
            match sys::accept(fd) {
                Ok((made, _)) => {
                    self.accepted.push(made);
                    self.tally.connections += 1;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) => {
                    self.tally.errno = e.raw_os_error();
                    return false;
                }
            }
        }
    }
}

/// All sources and sinks, by the number of their socket.
#[derive(Default)]
pub struct Traffic {
    sources: BTreeMap<i64, Source>,
    sinks: BTreeMap<i64, Sink>,
}

impl Traffic {
    /// Let a socket send a packet of `size` bytes at each of some times.
    pub fn add_source(&mut self, sock: i64, size: usize, at: Vec<i64>, addr: Option<Vec<u8>>) -> Result<()> {
        if !(1..=MOST_BYTES).contains(&size) {
            return Err(Error::usage(format!("a source's packet has 1 to {MOST_BYTES} bytes, not {size}")));
        }
        if !at.windows(2).all(|pair| pair[0] <= pair[1]) {
            return Err(Error::usage("the times of a source are in ascending order"));
        }
        if self.sources.contains_key(&sock) {
            return Err(Error::usage(format!("socket {sock} is a source already")));
        }
        let source = Source { packet: vec![0xa5; size], addr, at, sent: 0, tally: Tally::default() };
        self.sources.insert(sock, source);
        Ok(())
    }

    /// Read from now on all that a socket gets, or the connections that it accepts.
    pub fn add_sink(&mut self, sock: i64, fd: BorrowedFd<'_>) -> Result<()> {
        if self.sinks.contains_key(&sock) {
            return Err(Error::usage(format!("socket {sock} is a sink already")));
        }
        self.sinks.insert(sock, Sink::new(fd)?);
        Ok(())
    }

    /// A socket is closed: its connections are closed with it.
    pub fn forget(&mut self, sock: i64) {
        self.sources.remove(&sock);
        self.sinks.remove(&sock);
    }

    pub fn tally(&self, sock: i64, of: Role) -> Result<Tally> {
        let found = match of {
            Role::Source => self.sources.get(&sock).map(|source| Tally { left: source.left(), ..source.tally.clone() }),
            Role::Sink => self.sinks.get(&sock).map(|sink| sink.tally.clone()),
        };
        found.ok_or_else(|| Error::usage(format!("socket {sock} is no {}", of.word())))
    }

    /// When the next packet is due, on the network's clock.
    pub fn next(&self) -> Option<i64> {
        self.sources.values().filter_map(|source| source.at.get(source.sent).copied()).min()
    }

    /// Send all packets whose time has come, in the order of their times.
    pub fn send_due(&mut self, clock: &Clock, sockets: &Sockets) {
        if self.next().is_none() {
            return;
        }
        let now = clock.now();
        while let Some(at) = self.next().filter(|&at| at <= now) {
            for (&sock, source) in &mut self.sources {
                if source.at.get(source.sent) == Some(&at) {
                    match sockets.get(sock) {
                        Ok(fd) => source.send(fd, now),
                        Err(_) => source.sent = source.at.len(),
                    }
                }
            }
        }
    }

    /// The descriptors that have something to read for a sink, once they are readable.
    pub fn watched(&self, sockets: &Sockets) -> Vec<RawFd> {
        let mut fds = Vec::new();
        for (&sock, sink) in &self.sinks {
            if let (true, Ok(fd)) = (sink.open, sockets.get(sock)) {
                fds.push(fd.as_raw_fd());
            }
            fds.extend(sink.accepted.iter().map(AsRawFd::as_raw_fd));
        }
        fds
    }

    /// Read those of the watched descriptors that are readable.
    pub fn take(&mut self, clock: &Clock, sockets: &Sockets, ready: &[RawFd]) {
        if ready.is_empty() {
            return;
        }
        let mut room = vec![0; ROOM];
        for (&sock, sink) in &mut self.sinks {
            if let (true, Ok(fd)) = (sink.open, sockets.get(sock)) {
                if ready.contains(&fd.as_raw_fd()) {
                    sink.open =
                        if sink.listens { sink.accept(fd) } else { sink.tally.read(fd, sink.ends, &mut room, clock) };
                }
            }
            let (accepted, tally) = (&mut sink.accepted, &mut sink.tally);
            accepted.retain(|fd| !ready.contains(&fd.as_raw_fd()) || tally.read(fd.as_fd(), true, &mut room, clock));
        }
    }
}
