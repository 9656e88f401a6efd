// SPDX-License-Identifier: MIT
//! Where a packet goes next.

use std::cell::Cell;
use std::net::Ipv4Addr;

/// An IPv4 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Any address in it.
    pub address: Ipv4Addr,
    /// Leading bits that count, 0 to 32.
    pub bits: u8,
}

impl Prefix {
    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0)
    }

    /// Says whether the address is in the prefix.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (u32::from(address) ^ u32::from(self.address)) & self.mask() == 0
    }

    /// The prefix's own broadcast address; prefixes of 31 and 32 bits have none (RFC 3021).
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        (self.bits < 31).then(|| Ipv4Addr::from(u32::from(self.address) | !self.mask()))
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub prefix: Prefix,
    /// The router; nothing = on the link.
    pub gateway: Option<Ipv4Addr>,
}

/// What the table says of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To everybody on the link.
    Broadcast,
    /// To a group (RFC 1112).
    Multicast,
    /// To the neighbour with this address.
    Neighbour(Ipv4Addr),
    /// Back to ourselves.
    Loopback,
    /// Nowhere.
    Unreachable,
}

/// The routing table of one interface.
#[derive(Clone, Debug)]
pub struct Routes {
    local: Prefix,
    routes: Vec<Route>,
    /// What was looked up last, which most often comes again.
    last: Cell<(Ipv4Addr, Hop)>,
}

impl Routes {
    /// A table for an interface with this address and prefix, and further routes.
    pub fn new(local: Prefix, routes: &[Route]) -> Self {
        let mut routes = routes.to_vec();
        routes.push(Route { prefix: local, gateway: None });
        routes.sort_by_key(|route| std::cmp::Reverse(route.prefix.bits));
        Self { local, routes, last: Cell::new((Ipv4Addr::UNSPECIFIED, Hop::Unreachable)) }
    }

    /// Looks a destination up, the longest prefix first.
    #[inline]
    pub fn next_hop(&self, destination: Ipv4Addr) -> Hop {
        let (last, hop) = self.last.get();
        if last == destination {
            return hop;
        }
        let hop = self.look_up(destination);
        self.last.set((destination, hop));
        hop
    }

    fn look_up(&self, destination: Ipv4Addr) -> Hop {
        if destination == self.local.address || destination.is_loopback() {
            return Hop::Loopback;
        }
        if destination.is_broadcast() || self.local.broadcast() == Some(destination) {
            return Hop::Broadcast;
        }
        if destination.is_multicast() {
            return Hop::Multicast;
        }
        if destination.is_unspecified() {
            return Hop::Unreachable;
        }
        let found = self.routes.iter().find(|route| route.prefix.contains(destination));
        found.map_or(Hop::Unreachable, |route| Hop::Neighbour(route.gateway.unwrap_or(destination)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Prefix {
        Prefix { address: Ipv4Addr::new(a, b, c, d), bits }
    }

    #[test]
    fn the_longest_prefix_decides_and_what_none_covers_is_unreachable() {
        let narrow = Ipv4Addr::new(10, 0, 0, 7);
        let wide = Ipv4Addr::new(10, 0, 0, 8);
        let routes = Routes::new(
            prefix(10, 0, 0, 1, 24),
            &[
                Route { prefix: prefix(172, 16, 0, 0, 12), gateway: Some(wide) },
                Route { prefix: prefix(172, 16, 5, 0, 24), gateway: Some(narrow) },
            ],
        );
        let hop = |a, b, c, d| routes.next_hop(Ipv4Addr::new(a, b, c, d));
        assert_eq!(hop(172, 16, 5, 9), Hop::Neighbour(narrow));
        assert_eq!(hop(172, 31, 0, 1), Hop::Neighbour(wide));
        assert_eq!(hop(10, 0, 0, 2), Hop::Neighbour(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(hop(8, 8, 8, 8), Hop::Unreachable);
        assert_eq!(hop(10, 0, 0, 1), Hop::Loopback);
        assert_eq!(hop(10, 0, 0, 255), Hop::Broadcast);
        assert_eq!(hop(255, 255, 255, 255), Hop::Broadcast);
        assert_eq!(hop(224, 0, 0, 1), Hop::Multicast);
        assert_eq!(hop(0, 0, 0, 0), Hop::Unreachable);
    }

    #[test]
    fn a_default_route_takes_the_rest() {
        let router = Ipv4Addr::new(10, 0, 0, 254);
        let everything = Route { prefix: prefix(0, 0, 0, 0, 0), gateway: Some(router) };
        let routes = Routes::new(prefix(10, 0, 0, 1, 24), &[everything]);
        assert_eq!(routes.next_hop(Ipv4Addr::new(8, 8, 8, 8)), Hop::Neighbour(router));
    }

    #[test]
    fn a_prefix_of_two_addresses_has_no_broadcast() {
        assert_eq!(prefix(10, 0, 0, 0, 31).broadcast(), None);
        assert_eq!(prefix(10, 0, 0, 0, 30).broadcast(), Some(Ipv4Addr::new(10, 0, 0, 3)));
    }
}
