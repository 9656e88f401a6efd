// SPDX-License-Identifier: MIT
//! States of a node that a test waits for, and its files.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::netconf::{octets, parse_prefix};
use crate::netlink::{attributes, u32_at, Netlink};
use crate::node::{Home, Node};
use crate::protocol::Await;
use crate::sys;

const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
/// A reply holds at most this much of a file.
const LARGEST_FILE: u64 = 15 << 20;

/// Something that can be true of a node.
pub enum State {
    Listen { proto: Proto, port: u16 },
    Route { address: IpAddr, length: u8 },
    Address(IpAddr),
    File(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    Tcp,
    Udp,
    UdpLite,
    Sctp,
    Dccp,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Listen { proto, port } => write!(f, "{proto:?} listener on port {port}"),
            State::Route { address, length } => write!(f, "route to {address}/{length}"),
            State::Address(address) => write!(f, "usable address {address}"),
            State::File(path) => write!(f, "file {path}"),
        }
    }
}

impl State {
    pub fn parse(wanted: &Await) -> Result<Self> {
        let missing = |key: &str| Error::usage(format!("await {}: '{key}' is missing", wanted.what));
        let prefix = || wanted.prefix.as_deref().ok_or_else(|| missing("prefix"));
        match wanted.what.as_str() {
            "listen" => {
                let proto = match wanted.proto.as_deref().unwrap_or("tcp") {
                    "tcp" | "mptcp" => Proto::Tcp,
                    "udp" => Proto::Udp,
                    "udplite" => Proto::UdpLite,
                    "sctp" => Proto::Sctp,
                    "dccp" => Proto::Dccp,
                    other => {
                        let valid = "tcp, mptcp, udp, udplite, sctp, dccp";
                        return Err(Error::usage(format!("await listen: no proto '{other}'; valid: {valid}")));
                    }
                };
                Ok(State::Listen { proto, port: wanted.port.ok_or_else(|| missing("port"))? })
            }
            "route" => {
                let (address, length) = match prefix()? {
                    "default" => parse_prefix("0.0.0.0/0")?,
                    "default6" => parse_prefix("::/0")?,
                    other => parse_prefix(other)?,
                };
                Ok(State::Route { address, length })
            }
            "address" => Ok(State::Address(parse_prefix(prefix()?)?.0)),
            "file" => Ok(State::File(wanted.path.clone().ok_or_else(|| missing("path"))?)),
            other => Err(Error::usage(format!("await: no '{other}'; valid: listen, route, file, address"))),
        }
    }

    /// Whether it is true now (files are looked at elsewhere, among the node's files).
    pub fn holds(&self, node: &mut Node, home: &Home) -> Result<bool> {
        match self {
            State::Listen { proto: Proto::Dccp, port } => node.in_net(home, || dccp_listens(*port))?,
            State::Listen { proto, port } => node.in_net(home, || listens(*proto, *port)),
            State::Route { address, length } => has_route(&mut node.route, address, *length),
            State::Address(address) => has_address(&mut node.route, address),
            State::File(_) => Ok(false),
        }
    }
}

/// Look for a listener in /proc/net, which shows the namespace that this process is in.
fn listens(proto: Proto, port: u16) -> bool {
    let tables: &[&str] = match proto {
        Proto::Tcp => &["tcp", "tcp6"],
        Proto::Udp => &["udp", "udp6"],
        Proto::UdpLite => &["udplite", "udplite6"],
        Proto::Sctp => &["sctp/eps"],
        Proto::Dccp => &[],
    };
    tables.iter().any(|table| {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
        text.lines()
            .skip(1)
            .any(|line| if proto == Proto::Sctp { sctp_row(line, port) } else { row(line, proto, port) })
    })
}

/// `sl local_address rem_address st ...`: listening is 0A for TCP; an unconnected UDP socket is 07.
fn row(line: &str, proto: Proto, port: u16) -> bool {
    let mut fields = line.split_ascii_whitespace();
    let (Some(local), Some(remote), Some(state)) = (fields.nth(1), fields.next(), fields.next()) else { return false };
    let wanted = if proto == Proto::Tcp { "0A" } else { "07" };
    let port_of = |a: &str| a.rsplit_once(':').and_then(|(_, p)| u16::from_str_radix(p, 16).ok());
    state == wanted && port_of(local) == Some(port) && port_of(remote) == Some(0)
}

/// `ENDPT SOCK STY SST HBKT LPORT ...`: a listening socket is in state 10.
fn sctp_row(line: &str, port: u16) -> bool {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    fields.get(3) == Some(&"10") && fields.get(5).and_then(|p| p.parse().ok()) == Some(port)
}

/// DCCP has no table in /proc; ask sock_diag(7).
fn dccp_listens(port: u16) -> Result<bool> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const LISTEN: u32 = 1 << 10;
    let mut diag = Netlink::open(libc::NETLINK_SOCK_DIAG).context(|| "sock_diag")?;
    for family in [libc::AF_INET, libc::AF_INET6] {
        let found = diag.dump(SOCK_DIAG_BY_FAMILY, "sock_diag of dccp", |m| {
            // struct inet_diag_req_v2: family, protocol, ext, pad, states, then an id of 48 bytes.
            m.raw(&[family as u8, libc::IPPROTO_DCCP as u8, 0, 0]).raw(&LISTEN.to_ne_bytes()).raw(&[0; 48]);
        })?;
        // struct inet_diag_msg: family, state, timer, retrans, then the source port in network order.
        if found.iter().any(|m| m.payload.get(4..6) == Some(&port.to_be_bytes())) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn family(address: &IpAddr) -> u8 {
    if address.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

fn has_route(route: &mut Netlink, address: &IpAddr, length: u8) -> Result<bool> {
    const RTA_DST: u16 = 1;
    const RTA_TABLE: u16 = 15;
    let head = family(address);
    let routes = route.dump(RTM_GETROUTE, "dump of routes", |m| {
        m.raw(&[head, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    })?;
    let wanted = octets(address);
    Ok(routes.iter().any(|r| {
        let attribute = |wanted| attributes(r.payload.get(12..).unwrap_or(&[])).find(|(kind, _)| *kind == wanted);
        let dst = attribute(RTA_DST);
        // struct rtmsg has 8 bits for the table; numbers above are in an attribute only.
        let short = r.payload.get(4).copied().map(u32::from);
        let table = attribute(RTA_TABLE).map_or(short, |(_, value)| u32_at(value, 0));
        table == Some(u32::from(libc::RT_TABLE_MAIN))
            && r.payload.first() == Some(&head)
            && r.payload.get(1) == Some(&length)
            && dst.map_or(length == 0, |(_, value)| value == wanted)
    }))
}

/// An address that is there, not tentative and no duplicate.
fn has_address(route: &mut Netlink, address: &IpAddr) -> Result<bool> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_FLAGS: u16 = 8;
    const TENTATIVE_OR_FAILED: u32 = 0x40 | 0x08;
    let head = family(address);
    let all = route.dump(RTM_GETADDR, "dump of addresses", |m| {
        m.raw(&[head, 0, 0, 0, 0, 0, 0, 0]);
    })?;
    let wanted = octets(address);
    Ok(all.iter().any(|a| {
        let mut flags = a.payload.get(2).copied().map_or(0, u32::from);
        let mut same = false;
        for (kind, value) in attributes(a.payload.get(8..).unwrap_or(&[])) {
            match kind {
                IFA_LOCAL | IFA_ADDRESS => same |= value == wanted,
                IFA_FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
                _ => {}
            }
        }
        same && a.payload.first() == Some(&head) && flags & TENTATIVE_OR_FAILED == 0
    }))
}

/// A file of the node, whole.
pub fn read_file(path: &str) -> Result<Vec<u8>> {
    let size = fs::metadata(path).context(|| path.to_owned())?.len();
    if size > LARGEST_FILE {
        return Err(Error::usage(format!("{path} has {size} bytes; at most {LARGEST_FILE} can be read")));
    }
    fs::read(path).context(|| path.to_owned())
}

/// Write a file of the node; folders above it are made.
pub fn write_file(path: &str, data: &[u8], mode: u32) -> Result<()> {
    make_file(path, mode, |file| file.write_all(data))
}

/// Make a file of the node a copy of another, within the kernel; folders above it are made.
pub fn copy_file(path: &str, from: &File, mode: u32) -> Result<()> {
    make_file(path, mode, |file| sys::copy(from.as_fd(), file.as_fd()))
}

fn make_file(path: &str, mode: u32, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder).context(|| folder.display().to_string())?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path).context(|| path.to_owned())?;
    fill(&mut file).context(|| path.to_owned())?;
    // Files of the kernel (/proc/sys) have a mode of their own.
    if !path.starts_with("/proc/") && !path.starts_with("/sys/") {
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777)).context(|| path.to_owned())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_row_is_told_from_a_connected_one() {
        let listening = "   0: 00000000:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1";
        let connected = "   1: 0100000A:1389 0200000A:9C40 01 00000000:00000000 00:00000000 00000000 0 0 1 1";
        assert!(row(listening, Proto::Tcp, 5001));
        assert!(!row(listening, Proto::Tcp, 5002));
        assert!(!row(connected, Proto::Tcp, 5001));
    }
}
