// SPDX-License-Identifier: MIT
//! What makes a node's interfaces, addresses, routes and rules, as messages of rtnetlink(7).

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use crate::error::{Error, Result};
use crate::netlink::{Batch, Tlv, NLM_F_CREATE, NLM_F_EXCL};
use crate::node::{self, Home, Interface};
use crate::protocol::{PlanEnd, PlanRoute, PlanRule};

const RTM_NEWLINK: u16 = 16;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWRULE: u16 = 32;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
/// lo of every namespace.
pub const LOOPBACK: u32 = 1;
const UP: u32 = libc::IFF_UP as u32;
/// br0 of a switch: above every port's index, so that ports count from 2 as in other nodes.
const BRIDGE_INDEX: u32 = 100_000;
/// What is made is new.
pub const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// `struct ifinfomsg`.
pub fn ifinfo(family: u8, ifindex: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let wrong = || Error::usage(format!("'{text}' is no MAC address (six bytes: 02:00:00:00:00:01)"));
    let bytes: Vec<u8> = text
        .split(':')
        .map(|p| u8::from_str_radix(p, 16))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// Let an interface go up or down.
pub fn set_up(batch: &mut Batch, ifindex: u32, up: bool, step: String) {
    batch.add(RTM_SETLINK, 0, step, |m| {
        m.raw(&ifinfo(0, ifindex, if up { UP } else { 0 }, UP));
    });
}

/// The interface of a node at one end of a link, and its peer in the fabric.
pub struct Pair<'a> {
    pub ifindex: u32,
    /// Whether the node's end goes up at once.
    pub up: bool,
    /// Whether it is a port of br0.
    pub in_bridge: bool,
    pub peer: &'a str,
    pub peer_index: u32,
}

/// Make a veth pair, from within the node.
pub fn add_pair(batch: &mut Batch, pair: &Pair<'_>, end: &PlanEnd, home: &Home) -> Result<()> {
    let mac = parse_mac(&end.mac)?;
    let flags = if pair.up { UP } else { 0 };
    batch.add(RTM_NEWLINK, NEW, format!("veth pair of {}.{}", end.node, end.iface), |m| {
        m.raw(&ifinfo(0, pair.ifindex, flags, flags)).string(IFLA_IFNAME, &end.iface).put(IFLA_ADDRESS, &mac);
        common(m, end);
        if pair.in_bridge {
            m.u32(IFLA_MASTER, BRIDGE_INDEX);
        }
        m.nest(IFLA_LINKINFO, |i| {
            i.string(IFLA_INFO_KIND, "veth");
            i.nest(IFLA_INFO_DATA, |d| {
                d.nest(VETH_INFO_PEER, |p| {
                    let noarp = libc::IFF_NOARP as u32;
                    // Up at the very end: until then it carries nothing, and gets its qdiscs at no cost.
                    p.raw(&ifinfo(0, pair.peer_index, noarp, noarp)).string(IFLA_IFNAME, pair.peer);
                    common(p, end);
                    p.u32(IFLA_NET_NS_FD, home.net.as_raw_fd() as u32);
                });
            });
        });
    });
    Ok(())
}

/// What both ends of a pair have in common: MTU, and one queue each way.
fn common(m: &mut Tlv<'_>, end: &PlanEnd) {
    m.u32(IFLA_MTU, end.mtu).u32(IFLA_NUM_TX_QUEUES, 1).u32(IFLA_NUM_RX_QUEUES, 1);
}

/// br0 of a switch.
pub fn add_bridge(batch: &mut Batch, node: &str) {
    const IFLA_BR_MCAST_SNOOPING: u16 = 23;
    batch.add(RTM_NEWLINK, NEW, format!("{node}: br0"), |m| {
        m.raw(&ifinfo(0, BRIDGE_INDEX, UP, UP)).string(IFLA_IFNAME, "br0");
        m.nest(IFLA_LINKINFO, |i| {
            i.string(IFLA_INFO_KIND, "bridge");
            i.nest(IFLA_INFO_DATA, |d| {
                d.put(IFLA_BR_MCAST_SNOOPING, &[0]);
            });
        });
    });
}

/// An address with its prefix length; a bare address is a host's own.
pub fn parse_prefix(text: &str) -> Result<(IpAddr, u8)> {
    let wrong = || Error::usage(format!("'{text}' is no address or prefix (10.0.1.1/24, fd00:1::1/64)"));
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => max,
        Some(l) => l.parse().ok().filter(|l| *l <= max).ok_or_else(wrong)?,
    };
    Ok((address, length))
}

pub fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

fn family(address: &IpAddr) -> u8 {
    if address.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

/// An address of an interface.
pub fn add_address(batch: &mut Batch, end: &PlanEnd, ifindex: u32, text: &str) -> Result<()> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_BROADCAST: u16 = 4;
    const IFA_F_NODAD: u8 = 2;
    let (address, length) = parse_prefix(text).map_err(|e| e.at(format!("{}.{}", end.node, end.iface)))?;
    let step = format!("{}.{}: address {text}", end.node, end.iface);
    batch.add(RTM_NEWADDR, NEW, step, |m| {
        // struct ifaddrmsg: family, prefixlen, flags, scope, index.
        let flags = if address.is_ipv6() { IFA_F_NODAD } else { 0 };
        let mut head = vec![family(&address), length, flags, 0];
        head.extend_from_slice(&ifindex.to_ne_bytes());
        m.raw(&head).put(IFA_LOCAL, &octets(&address)).put(IFA_ADDRESS, &octets(&address));
        if let (IpAddr::V4(v4), true) = (address, length < 31) {
            let all = u32::from(v4) | u32::MAX >> length;
            m.put(IFA_BROADCAST, &all.to_be_bytes());
        }
    });
    Ok(())
}

/// A route, which may go by the name of one of the node's interfaces.
pub fn add_route(batch: &mut Batch, interfaces: &[Interface], route: &PlanRoute) -> Result<()> {
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const RTA_PRIORITY: u16 = 6;
    const RTA_PREFSRC: u16 = 7;
    const RTA_TABLE: u16 = 15;
    const RTPROT_STATIC: u8 = 4;
    const RTN_UNICAST: u8 = 1;
    let place = || format!("{}: route to {}", route.node, route.dst);
    let address =
        |text: &str| text.parse::<IpAddr>().map_err(|_| Error::usage(format!("{}: '{text}' is no address", place())));
    let via = route.via.as_deref().map(address).transpose()?;
    let src = route.src.as_deref().map(address).transpose()?;
    let (dst, length) = match route.dst.as_str() {
        "default" if via.is_some_and(|v| v.is_ipv6()) => ("::".parse().expect("an address"), 0),
        "default" => ("0.0.0.0".parse().expect("an address"), 0),
        "default6" => ("::".parse().expect("an address"), 0),
        prefix => parse_prefix(prefix).map_err(|e| e.at(place()))?,
    };
    if via.is_some_and(|v| v.is_ipv4() != dst.is_ipv4()) {
        return Err(Error::usage(format!("{}: the gateway is of another family", place())));
    }
    let oif = match route.iface.as_deref() {
        None => None,
        Some(name) => Some(
            node::ifindex(interfaces, name)
                .ok_or_else(|| Error::usage(format!("{}: no interface '{name}' there", place())))?,
        ),
    };
    if via.is_none() && oif.is_none() {
        return Err(Error::usage(format!("{}: neither 'via' nor 'iface'", place())));
    }
    let table = route.table.unwrap_or(254);
    batch.add(RTM_NEWROUTE, NEW, place(), |m| {
        let scope = if via.is_some() || dst.is_ipv6() { 0 } else { 253 };
        let short = u8::try_from(table).unwrap_or(0);
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
        m.raw(&[family(&dst), length, 0, 0, short, RTPROT_STATIC, scope, RTN_UNICAST, 0, 0, 0, 0]);
        if length > 0 {
            m.put(RTA_DST, &octets(&dst));
        }
        if let Some(via) = via {
            m.put(RTA_GATEWAY, &octets(&via));
        }
        if let Some(oif) = oif {
            m.u32(RTA_OIF, oif);
        }
        if let Some(metric) = route.metric {
            m.u32(RTA_PRIORITY, metric);
        }
        if let Some(src) = src {
            m.put(RTA_PREFSRC, &octets(&src));
        }
        m.u32(RTA_TABLE, table);
    });
    Ok(())
}

/// A policy rule.
pub fn add_rule(batch: &mut Batch, rule: &PlanRule) -> Result<()> {
    const FRA_DST: u16 = 1;
    const FRA_SRC: u16 = 2;
    const FRA_PRIORITY: u16 = 6;
    const FRA_TABLE: u16 = 15;
    const FR_ACT_TO_TBL: u8 = 1;
    let place = || format!("{}: rule for table {}", rule.node, rule.table);
    let prefix = |text: &Option<String>| text.as_deref().map(parse_prefix).transpose().map_err(|e| e.at(place()));
    let (from, to) = (prefix(&rule.from)?, prefix(&rule.to)?);
    let Some((any, _)) = from.or(to) else {
        return Err(Error::usage(format!("{}: neither 'from' nor 'to'", place())));
    };
    let length = |p: Option<(IpAddr, u8)>| p.map_or(0, |(_, l)| l);
    batch.add(RTM_NEWRULE, NEW, place(), |m| {
        // struct fib_rule_hdr: family, dst_len, src_len, tos, table, res1, res2, action, flags.
        m.raw(&[family(&any), length(to), length(from), 0, 0, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]);
        if let Some((address, _)) = from {
            m.put(FRA_SRC, &octets(&address));
        }
        if let Some((address, _)) = to {
            m.put(FRA_DST, &octets(&address));
        }
        if let Some(priority) = rule.priority {
            m.u32(FRA_PRIORITY, priority);
        }
        m.u32(FRA_TABLE, rule.table);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_checked() {
        assert_eq!(parse_prefix("10.0.1.1/24").unwrap(), ("10.0.1.1".parse().unwrap(), 24));
        assert_eq!(parse_prefix("fd00::1").unwrap(), ("fd00::1".parse().unwrap(), 128));
        for wrong in ["10.0.1.1/33", "10.0.1/24", "fd00::/129", "x"] {
            assert!(parse_prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mac_addresses_are_six_bytes() {
        assert_eq!(parse_mac("02:00:00:00:0a:ff").unwrap(), [2, 0, 0, 0, 10, 255]);
        assert!(parse_mac("02:00:00:00:0a").is_err());
    }
}
