// SPDX-License-Identifier: MIT
//! UDP: the datagram sockets of a stack.

use std::net::SocketAddrV4;
use std::task::Poll;

use queue::{Buffer, Errno};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, SendError, Socket};
use smoltcp::wire::IpAddress;

use crate::core::{address, endpoint, listen_endpoint, Core};
use crate::datagram::Datagram;
use crate::inbox::Inbox;
use crate::packet::Refusal;

/// The most payload of a datagram: 65535 less the headers of IPv4 and UDP, bytes.
pub const DATAGRAM_BYTES: usize = 65507;
/// Of each direction of a socket, bytes and datagrams (Linux: `rmem_default`, 212,992 bytes with its bookkeeping).
const BUFFER_BYTES: usize = 1 << 20;
const BUFFER_DATAGRAMS: usize = 2048;

/// A datagram socket.
#[derive(Debug)]
struct Datagrams {
    /// smoltcp's socket: it has what could not be sent at once, and for a moment what smoltcp takes in.
    handle: SocketHandle,
    local: SocketAddrV4,
    peer: Option<SocketAddrV4>,
    fault: Option<Errno>,
    /// smoltcp's socket may have something to send.
    waiting: bool,
    /// What came, with whom it came from.
    inbox: Inbox,
}

impl Datagrams {
    /// Whether it hears what is sent to this address.
    fn listens_at(&self, to: SocketAddrV4) -> bool {
        self.local.port() == to.port() && (self.local.ip().is_unspecified() || self.local.ip() == to.ip())
    }
}

/// All of a stack's datagram sockets.
#[derive(Debug, Default)]
pub struct Udp {
    sockets: slab::Slab<Datagrams>,
}

impl Udp {
    /// Opens a socket at a port that nobody else has.
    pub fn open(&mut self, core: &mut Core, local: SocketAddrV4) -> Result<usize, Errno> {
        let buffer = |count, bytes| PacketBuffer::new(vec![PacketMetadata::EMPTY; count], vec![0; bytes]);
        let mut socket = Socket::new(buffer(1, DATAGRAM_BYTES), buffer(BUFFER_DATAGRAMS, BUFFER_BYTES));
        socket.bind(listen_endpoint(local)).map_err(|_| Errno::EADDRNOTAVAIL)?;
        let handle = core.sockets.add(socket);
        let inbox = Inbox::new(BUFFER_BYTES, BUFFER_DATAGRAMS);
        Ok(self.sockets.insert(Datagrams { handle, local, peer: None, fault: None, waiting: false, inbox }))
    }

    pub fn connect(&mut self, id: usize, peer: SocketAddrV4) {
        self.sockets[id].peer = Some(peer);
    }

    pub fn peer(&self, id: usize) -> Option<SocketAddrV4> {
        self.sockets[id].peer
    }

    /// Where a datagram comes from that may be sent now, as none waits before it and there is nothing to be told; the address
    /// may be unspecified.
    pub fn free_to_send(&mut self, core: &Core, id: usize) -> Option<SocketAddrV4> {
        if self.sockets[id].waiting {
            self.sockets[id].waiting = !self.sent(core, id);
        }
        let datagrams = &self.sockets[id];
        (datagrams.fault.is_none() && !datagrams.waiting).then_some(datagrams.local)
    }

    /// Keeps a datagram for the socket that it is for; says whether there is one.
    pub fn deliver(&mut self, datagram: &Datagram<'_>) -> bool {
        let mut sockets = self.sockets.iter_mut().map(|(_, datagrams)| datagrams);
        let Some(found) = sockets.find(|datagrams| datagrams.listens_at(datagram.to)) else { return false };
        found.inbox.put(datagram.from, datagram.bytes);
        true
    }

    /// Takes over what smoltcp took in, of which its sockets have room for one.
    pub fn collect(&mut self, core: &mut Core) {
        for (_, datagrams) in &mut self.sockets {
            while let Ok((bytes, meta)) = core.sockets.get_mut::<Socket<'_>>(datagrams.handle).recv() {
                datagrams.inbox.put(address(meta.endpoint), bytes);
            }
        }
    }

    /// Queues a datagram; ready when there was room for it.
    pub fn poll_push(&mut self, core: &mut Core, id: usize, bytes: &[u8], to: SocketAddrV4) -> Poll<Result<(), Errno>> {
        let datagrams = &mut self.sockets[id];
        if let Some(fault) = datagrams.fault.take() {
            return Poll::Ready(Err(fault));
        }
        if bytes.len() > DATAGRAM_BYTES {
            return Poll::Ready(Err(Errno::EMSGSIZE));
        }
        match core.sockets.get_mut::<Socket<'_>>(datagrams.handle).send_slice(bytes, endpoint(to)) {
            Ok(()) => {
                core.dirty = true;
                datagrams.waiting = true;
                Poll::Ready(Ok(()))
            }
            Err(SendError::BufferFull) => Poll::Pending,
            Err(SendError::Unaddressable) => Poll::Ready(Err(Errno::EINVAL)),
        }
    }

    /// Bytes of the datagram that [`Udp::poll_pop`] gives next.
    pub fn waiting(&self, id: usize) -> usize {
        let datagrams = &self.sockets[id];
        datagrams.inbox.next_bytes(datagrams.peer)
    }

    /// Gives the next datagram, with its sender; what does not come from a connected socket's peer is dropped.
    pub fn poll_pop(&mut self, id: usize, into: &mut Buffer) -> Poll<Result<SocketAddrV4, Errno>> {
        let datagrams = &mut self.sockets[id];
        if let Some(fault) = datagrams.fault.take() {
            return Poll::Ready(Err(fault));
        }
        while let Some((from, bytes)) = datagrams.inbox.take() {
            if datagrams.peer.is_none_or(|peer| peer == from) {
                into.append(bytes);
                return Poll::Ready(Ok(from));
            }
        }
        Poll::Pending
    }

    /// Tells a connected socket what an ICMP error says (RFC 1122, 4.1.3.3).
    pub fn refuse(&mut self, refusal: &Refusal) {
        let meant =
            |datagrams: &Datagrams| datagrams.listens_at(refusal.local) && datagrams.peer == Some(refusal.remote);
        for (_, datagrams) in self.sockets.iter_mut().filter(|(_, datagrams)| meant(datagrams)) {
            datagrams.fault = Some(refusal.errno);
        }
    }

    /// Says whether everything was handed to the link.
    pub fn sent(&self, core: &Core, id: usize) -> bool {
        core.sockets.get::<Socket<'_>>(self.sockets[id].handle).send_queue() == 0
    }

    /// Closes a socket; what is unsent is lost.
    pub fn close(&mut self, core: &mut Core, id: usize) {
        core.sockets.remove(self.sockets.remove(id).handle);
    }
}

/// The unspecified and the multicast addresses are no destinations of ours to be a peer.
pub fn addressable(to: SocketAddrV4) -> bool {
    to.port() != 0 && !IpAddress::Ipv4(*to.ip()).is_unspecified()
}
