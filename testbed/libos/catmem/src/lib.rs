// SPDX-License-Identifier: MIT
//! catmem: pipes in POSIX shared memory between processes of a node.
//!
//! A pipe has two ends and carries bytes both ways. Who creates it owns its name: nobody else can while that process lives
//! and has it open. An end whose process dies resets the other.

use std::net::SocketAddrV4;
use std::task::Poll;
use std::time::Instant;

use queue::{Buffer, Config, Errno, IoPath, OptionName, SocketKind, SocketOption};
use shm::{End, Hub, Popped};

abi::export_libos!(Catmem, "catmem");

/// The engine's regions.
pub struct Catmem {
    hub: Hub,
}

/// Sockets are not what this flavor has.
const NO_SOCKETS: Errno = Errno::ENOTSUP;

impl IoPath for Catmem {
    type Queue = End;

    const SELF_DRIVEN: bool = true;
    const GLANCES: u32 = 256;

    fn open(_: &Config) -> Result<Catmem, Errno> {
        Ok(Catmem { hub: Hub::new()? })
    }

    fn create_pipe(&mut self, name: &str) -> Result<End, Errno> {
        End::create(&mut self.hub, &object(name))
    }

    fn open_pipe(&mut self, name: &str) -> Result<End, Errno> {
        End::attach(&mut self.hub, &object(name))
    }

    #[inline(always)]
    fn poll_push(
        &mut self,
        queue: &mut End,
        bytes: &[u8],
        sent: &mut usize,
        _: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        *sent += queue.push(&bytes[*sent..])?;
        if *sent < bytes.len() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    #[inline(always)]
    fn poll_pop(&mut self, queue: &mut End, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        match queue.pop(into)? {
            Popped::Bytes | Popped::End => Poll::Ready(Ok(None)),
            Popped::Nothing => Poll::Pending,
        }
    }

    #[inline(always)]
    fn waiting(&self, queue: &End) -> usize {
        queue.waiting()
    }

    fn poll_close(&mut self, _: &mut End) -> Poll<Result<(), Errno>> {
        Poll::Ready(Ok(())) // what was pushed lies in the ring, for the other end to read
    }

    fn poll_io(&mut self, now: Instant) -> bool {
        self.hub.pulse(now);
        false
    }

    fn idle(&mut self, now: Instant, until: Option<Instant>) {
        self.hub.idle(now, until);
    }

    fn socket(&mut self, _: SocketKind) -> Result<End, Errno> {
        Err(NO_SOCKETS)
    }

    fn bind(&mut self, _: &mut End, _: SocketAddrV4) -> Result<(), Errno> {
        Err(NO_SOCKETS)
    }

    fn listen(&mut self, _: &mut End, _: u32) -> Result<(), Errno> {
        Err(NO_SOCKETS)
    }

    fn connect(&mut self, _: &mut End, _: SocketAddrV4) -> Result<(), Errno> {
        Err(NO_SOCKETS)
    }

    fn poll_connect(&mut self, _: &mut End) -> Poll<Result<(), Errno>> {
        Poll::Ready(Err(NO_SOCKETS))
    }

    fn poll_accept(&mut self, _: &mut End) -> Poll<Result<(End, SocketAddrV4), Errno>> {
        Poll::Ready(Err(NO_SOCKETS))
    }

    fn set_option(&mut self, _: &mut End, _: SocketOption) -> Result<(), Errno> {
        Err(NO_SOCKETS)
    }

    fn option(&mut self, _: &mut End, _: OptionName) -> Result<SocketOption, Errno> {
        Err(NO_SOCKETS)
    }

    fn peer_name(&mut self, _: &mut End) -> Result<SocketAddrV4, Errno> {
        Err(NO_SOCKETS)
    }
}

/// Pipes have names of their own among the objects in shared memory; an empty name stays one.
fn object(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    format!("catmem-{name}")
}
