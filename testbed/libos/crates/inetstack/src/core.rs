// SPDX-License-Identifier: MIT
//! What TCP and UDP share of smoltcp.

use std::net::SocketAddrV4;
use std::time::Duration;

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

/// smoltcp's interface and sockets, with the time of the poll they are in.
pub struct Core {
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    pub now: Instant,
    /// A socket may have something to send.
    pub dirty: bool,
}

/// An address of the socket API in smoltcp's words.
pub fn endpoint(address: SocketAddrV4) -> IpEndpoint {
    IpEndpoint { addr: IpAddress::Ipv4(*address.ip()), port: address.port() }
}

/// The same to listen at: the unspecified address is any.
pub fn listen_endpoint(address: SocketAddrV4) -> IpListenEndpoint {
    let specified = Some(*address.ip()).filter(|ip| !ip.is_unspecified());
    IpListenEndpoint { addr: specified.map(IpAddress::Ipv4), port: address.port() }
}

/// An address of smoltcp in the socket API's words.
pub fn address(endpoint: IpEndpoint) -> SocketAddrV4 {
    let IpAddress::Ipv4(ip) = endpoint.addr;
    SocketAddrV4::new(ip, endpoint.port)
}

/// A length of time in smoltcp's words; the longest there are for what is longer.
pub fn length(duration: Duration) -> smoltcp::time::Duration {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    // A hundred years: sums with times stay in smoltcp's i64.
    smoltcp::time::Duration::from_micros(micros.min(3_200_000_000_000_000))
}
