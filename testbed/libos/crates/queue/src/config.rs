// SPDX-License-Identifier: MIT
//! What a flavor may be told; the file that it comes from is read by the crate `abi`.

use std::net::Ipv4Addr;
use std::time::Duration;

/// All settings, with what holds where the file says nothing.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    /// `demikernel.local_ipv4_addr`; the address may have a prefix's length behind it, `10.0.1.1/24`.
    pub local_ipv4: Option<Ipv4Addr>,
    /// The length of that prefix in bits; without one every address is on the link.
    pub local_prefix_bits: Option<u8>,
    /// `demikernel.gateway_ipv4_addr`: where packets go that are not for the link.
    pub gateway_ipv4: Option<Ipv4Addr>,
    /// `demikernel.local_link_addr`.
    pub local_mac: Option<[u8; 6]>,
    /// `raw_socket.linux_interface_name`.
    pub interface: Option<String>,
    /// `dpdk.eal_init`: the words that DPDK is started with.
    pub dpdk_eal: Vec<String>,
    /// `tcp_socket_options`: what every new stream socket has.
    pub tcp: TcpOptions,
    /// `inetstack_config`.
    pub inet: InetConfig,
    /// `testbed.spin_us`: how long a wait polls without anything moving before it idles.
    pub spin: Option<Duration>,
    /// `testbed.seed`: what a stack draws ports and sequence numbers from; default the system's random numbers.
    pub seed: Option<u64>,
}

/// Options of new stream sockets; none are touched that are not given.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TcpOptions {
    /// `keepalive`: on or off, and its times.
    pub keep_alive: Option<KeepAlive>,
    /// `linger`: how long a close waits for what is unsent (`Some(None)`: not at all, in the background).
    pub linger: Option<Option<Duration>>,
    /// `nodelay`.
    pub no_delay: Option<bool>,
}

/// Keep-alive (RFC 1122, 4.2.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    pub enabled: bool,
    /// `time_millis`: silence before the first probe.
    pub time: Option<Duration>,
    /// `interval_millis`: between probes.
    pub interval: Option<Duration>,
}

/// Settings of the user-level stack.
#[derive(Clone, Debug, PartialEq)]
pub struct InetConfig {
    /// `mtu`: the longest IP packet, in bytes.
    pub mtu: usize,
    /// `mss`: the most payload of a TCP segment, in bytes; default what the MTU allows.
    pub mss: Option<usize>,
    /// `arp_table`: neighbours that need no ARP.
    pub arp_table: Vec<(Ipv4Addr, [u8; 6])>,
    /// `arp_request_retries`: how often a request is sent again before the neighbour counts as unreachable.
    pub arp_retries: u32,
    /// `arp_request_timeout` (seconds in the file): the time between requests.
    pub arp_timeout: Duration,
    /// `arp_cache_ttl` (seconds in the file): how long an answer is good.
    pub arp_ttl: Duration,
}

impl Default for InetConfig {
    fn default() -> InetConfig {
        InetConfig {
            mtu: 1500,
            mss: None,
            arp_table: Vec::new(),
            arp_retries: 5,
            arp_timeout: Duration::from_secs(1),
            arp_ttl: Duration::from_secs(60),
        }
    }
}
