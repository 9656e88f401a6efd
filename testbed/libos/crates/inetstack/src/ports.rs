// SPDX-License-Identifier: MIT
//! Local ports: those that are bound, and the next ephemeral one.

use std::collections::BTreeSet;

use queue::{Errno, SocketKind};

/// The dynamic ports (RFC 6335, 6).
const FIRST: u16 = 49152;
const COUNT: u16 = u16::MAX - FIRST + 1;

/// The ports of a stack.
#[derive(Debug)]
pub struct Ports {
    streams: BTreeSet<u16>,
    datagrams: BTreeSet<u16>,
    /// Offset of the next ephemeral port to try.
    next: u16,
}

impl Ports {
    /// No ports; the ephemeral ones begin at a place that the seed gives, and count up.
    pub fn new(seed: u64) -> Self {
        // The remainder is below COUNT, a u16.
        let next = u16::try_from(seed % u64::from(COUNT)).unwrap_or(0);
        Self { streams: BTreeSet::new(), datagrams: BTreeSet::new(), next }
    }

    fn of(&mut self, kind: SocketKind) -> &mut BTreeSet<u16> {
        match kind {
            SocketKind::Stream => &mut self.streams,
            SocketKind::Datagram => &mut self.datagrams,
        }
    }

    /// Takes a port, or an ephemeral one for 0 that `used` does not know.
    ///
    /// # Errors
    /// `EADDRINUSE`: the port is taken, or all are; `used` counts for ephemeral ports only.
    pub fn take(&mut self, kind: SocketKind, port: u16, used: impl Fn(u16) -> bool) -> Result<u16, Errno> {
        if port != 0 {
            return if self.of(kind).insert(port) { Ok(port) } else { Err(Errno::EADDRINUSE) };
        }
        for _ in 0..COUNT {
            let port = FIRST + self.next;
            self.next = (self.next + 1) % COUNT;
            if !used(port) && self.of(kind).insert(port) {
                return Ok(port);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Gives a port back.
    pub fn give(&mut self, kind: SocketKind, port: u16) {
        self.of(kind).remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_once_per_kind() {
        let mut ports = Ports::new(0);
        assert_eq!(ports.take(SocketKind::Stream, 80, |_| false), Ok(80));
        assert_eq!(ports.take(SocketKind::Stream, 80, |_| false), Err(Errno::EADDRINUSE));
        assert_eq!(ports.take(SocketKind::Datagram, 80, |_| false), Ok(80));
        ports.give(SocketKind::Stream, 80);
        assert_eq!(ports.take(SocketKind::Stream, 80, |_| false), Ok(80));
    }

    #[test]
    fn ephemeral_ports_follow_from_the_seed_and_leave_out_used_ones() {
        let draw = |seed| {
            let mut ports = Ports::new(seed);
            [(); 3].map(|()| ports.take(SocketKind::Stream, 0, |port| port == FIRST + 8).unwrap())
        };
        assert_eq!(draw(7), [FIRST + 7, FIRST + 9, FIRST + 10]);
        assert_eq!(draw(u64::from(COUNT) + 7), draw(7));
        assert_eq!(draw(u64::from(COUNT) - 1), [u16::MAX, FIRST, FIRST + 1]);
    }

    #[test]
    fn ephemeral_ports_come_to_an_end() {
        let mut ports = Ports::new(3);
        assert_eq!(ports.take(SocketKind::Datagram, 0, |_| true), Err(Errno::EADDRINUSE));
    }
}
