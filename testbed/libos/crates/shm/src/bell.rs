// SPDX-License-Identifier: MIT
//! Doorbells: an engine that sleeps is woken by one byte to a socket of its own (abstract names, unix(7)).

use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use queue::Errno;

use crate::barrier;

/// More engines than this in one process are not tried.
const MOST: u64 = 1 << 16;

/// The doorbell of one engine.
#[derive(Debug)]
pub struct Bell {
    socket: UnixDatagram,
    /// What others ring it by; never zero.
    pub number: u64,
    /// Who rings another may leave the barrier to the one who sleeps.
    pub registered: bool,
}

impl Bell {
    /// Bind a doorbell under the first free number of this process.
    pub fn new() -> Result<Bell, Errno> {
        let process = u64::from(std::process::id()) << 16;
        for number in process + 1..process + MOST {
            match UnixDatagram::bind_addr(&address(number)?) {
                Ok(socket) => {
                    socket.set_nonblocking(true)?;
                    return Ok(Bell { socket, number, registered: barrier::register() });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EMFILE)
    }

    /// Ring another engine's bell. One that was rung ten times, or whose engine ended, needs no more.
    pub fn ring(&self, number: u64) {
        let Ok(address) = address(number) else { return };
        if let Err(error) = self.socket.send_to_addr(b"!", &address) {
            let known = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::ConnectionRefused];
            if !known.contains(&error.kind()) {
                log::warn!("ringing doorbell {number}: {error}");
            }
        }
    }

    /// Forget that it was rung.
    pub fn drain(&self) {
        let mut byte = [0];
        while self.socket.recv(&mut byte).is_ok() {}
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn address(number: u64) -> Result<SocketAddr, Errno> {
    Ok(SocketAddr::from_abstract_name(format!("testbed-bell-{number:x}"))?)
}
