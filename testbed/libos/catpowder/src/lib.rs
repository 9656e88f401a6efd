// SPDX-License-Identifier: MIT
//! The flavor `catpowder`: PDPIX over a user-level stack on raw sockets: packet(7), with a mapped ring to receive.
//!
//! The interface belongs to the LibOS: the node's kernel has no address on it, else it would answer the peer too (with ARP
//! replies of its own, and with resets for connections that it does not know).

mod checksum;
mod interface;
mod ring;
mod sender;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use inetstack::{FrameDevice, Inet, Mac, OpenDevice};
use queue::{Config, Errno};

use interface::Interface;
use ring::Ring;
use sender::Sender;

abi::export_libos!(Catpowder, "catpowder");

/// The path: the stack on raw frames.
pub type Catpowder = Inet<Raw>;

/// A raw socket on one interface.
pub struct Raw {
    socket: Rc<OwnedFd>,
    interface: Interface,
    ring: Ring,
    sender: Sender,
}

impl OpenDevice for Raw {
    fn open(config: &Config) -> Result<Self, Errno> {
        let Some(name) = config.interface.as_deref() else {
            log::error!("raw_socket.linux_interface_name is missing");
            return Err(Errno::EINVAL);
        };
        let refused = |errno: Errno| {
            log::error!("cannot open a raw socket on {name}: {errno}");
            errno
        };
        let socket = Rc::new(interface::raw_socket().map_err(refused)?);
        let interface = Interface::find(&socket, name).map_err(refused)?;
        let ring = Ring::map(Rc::clone(&socket), interface.mtu).map_err(refused)?;
        let strange = config.local_mac.is_some_and(|mac| mac != interface.mac);
        interface.bind(&socket, strange).map_err(refused)?;
        let sender = Sender::new(Rc::clone(&socket), interface.mtu);
        Ok(Self { socket, interface, ring, sender })
    }
}

impl FrameDevice for Raw {
    type Receiver = Ring;
    type Sender = Sender;

    fn mac(&self) -> Mac {
        self.interface.mac
    }

    fn mtu(&self) -> usize {
        self.interface.mtu
    }

    fn split(&mut self) -> (&mut Ring, &mut Sender) {
        (&mut self.ring, &mut self.sender)
    }

    fn wait(&mut self, limit: Option<Duration>, wake: Option<BorrowedFd<'_>>) {
        interface::wait(self.socket.as_raw_fd(), self.sender.is_stuck(), limit, wake);
    }
}
