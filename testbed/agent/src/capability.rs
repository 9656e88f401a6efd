// SPDX-License-Identifier: MIT
//! What the kernel below can do, found out by trying it.

use std::fs;

use crate::error::{Context, Result};
use crate::netlink::{Batch, Netlink, NLM_F_CREATE, NLM_F_REPLACE};
use crate::shape::{self, RTM_DELQDISC, RTM_NEWQDISC, TCA_KIND, TCA_OPTIONS};
use crate::sys;

const LOOPBACK: u32 = 1;
const ROOT: u32 = 0xffff_ffff;

/// Names of what is there, in a fixed order.
pub fn probe(route: &mut Netlink) -> Vec<&'static str> {
    const SOCK_DCCP: i32 = 6;
    const IPPROTO_MPTCP: i32 = 262;
    let sockets = [
        ("ipv6", libc::AF_INET6, libc::SOCK_DGRAM, 0),
        ("mptcp", libc::AF_INET, libc::SOCK_STREAM, IPPROTO_MPTCP),
        ("sctp", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
        ("dccp", libc::AF_INET, SOCK_DCCP, libc::IPPROTO_DCCP),
        ("udplite", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
        ("xfrm", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_XFRM),
        ("nftables", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
        ("sock_diag", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_SOCK_DIAG),
    ];
    let mut found = Vec::new();
    // netem takes all-zero options as "do nothing"; tbf refuses them with EINVAL, but only where it exists (else ENOENT).
    if try_qdisc(route, "netem") {
        found.push("netem");
    }
    if try_qdisc(route, "tbf") {
        found.push("tbf");
    }
    for (name, domain, kind, protocol) in sockets {
        if sys::socket(domain, kind, protocol).is_ok() {
            found.push(name);
        }
    }
    if fs::metadata("/dev/net/tun").is_ok() {
        found.push("tun");
    }
    found
}

fn try_qdisc(route: &mut Netlink, name: &str) -> bool {
    let mut batch = Batch::new();
    batch.add(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, "trying a qdisc", |m| {
        m.raw(&shape::tcmsg(LOOPBACK, 0, ROOT, 0)).string(TCA_KIND, name);
        m.nest_raw(TCA_OPTIONS, |o| {
            o.raw(&[0, 0, 0, 0, 1, 0, 0, 0]).raw(&[0; 16]);
        });
    });
    match route.run(batch) {
        Ok(()) => {
            let mut undo = Batch::new();
            undo.add(RTM_DELQDISC, 0, "removing a tried qdisc", |m| {
                m.raw(&shape::tcmsg(LOOPBACK, 0, ROOT, 0));
            });
            // The loopback device of the fabric carries nothing, with or without it.
            let _ = route.run(undo);
            true
        }
        Err(error) => error.errno != Some(libc::ENOENT),
    }
}

/// In a guest, before namespaces are made: no tunnel devices that nobody asked for in each of them.
pub fn prepare_guest() -> Result<()> {
    const ONLY_INIT: &str = "/proc/sys/net/core/fb_tunnels_only_for_init_net";
    if fs::metadata(ONLY_INIT).is_ok() {
        fs::write(ONLY_INIT, "1").context(|| ONLY_INIT)?;
    }
    sys::unshare(libc::CLONE_NEWNET).context(|| "making the fabric's network namespace")
}
