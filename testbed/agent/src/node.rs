// SPDX-License-Identifier: MIT
//! Nodes: a network namespace each, and mount and UTS namespaces from the first process or file operation on.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Context, Result};
use crate::netconf::LOOPBACK;
use crate::netlink::Netlink;
use crate::rootfs;
use crate::sys;

/// The agent's own namespaces, to come back to.
pub struct Home {
    pub net: OwnedFd,
    mount: OwnedFd,
    uts: OwnedFd,
}

impl Home {
    /// The namespaces that this process is in now.
    pub fn here() -> Result<Self> {
        Ok(Home { net: open_ns("net")?, mount: open_ns("mnt")?, uts: open_ns("uts")? })
    }
}

/// One interface of a node.
pub struct Interface {
    pub name: String,
    pub ifindex: u32,
    pub link: usize,
    pub end: usize,
}

/// The index of an interface by its name.
pub fn ifindex(interfaces: &[Interface], name: &str) -> Option<u32> {
    if name == "lo" {
        return Some(LOOPBACK);
    }
    interfaces.iter().find(|i| i.name == name).map(|i| i.ifindex)
}

/// The namespaces of files and of the host name.
pub struct View {
    pub mount: OwnedFd,
    pub uts: OwnedFd,
}

pub struct Node {
    pub name: String,
    pub net: OwnedFd,
    pub route: Netlink,
    pub interfaces: Vec<Interface>,
    view: Option<View>,
}

impl Node {
    /// Make the node's network namespace; the calling thread is left inside it.
    pub fn create(name: &str) -> Result<Self> {
        sys::unshare(libc::CLONE_NEWNET).context(|| format!("making the network namespace of {name}"))?;
        Node::here(name)
    }

    /// Take the network namespace of a process as the node's; the calling thread is left inside it.
    pub fn adopt(name: &str, pid: libc::pid_t) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        let net = File::open(&path).context(|| format!("{name}: {path}"))?;
        sys::setns(net.as_fd(), libc::CLONE_NEWNET).context(|| format!("entering {name}"))?;
        Node::here(name)
    }

    fn here(name: &str) -> Result<Self> {
        Ok(Node {
            name: name.to_owned(),
            net: open_ns("net").map_err(|e| e.at(name))?,
            route: Netlink::open(libc::NETLINK_ROUTE).context(|| format!("rtnetlink in {name}"))?,
            interfaces: Vec::new(),
            view: None,
        })
    }

    /// The ways in: the network namespace, and mount and UTS namespaces, made when first asked for.
    pub fn entrances(&mut self, home: &Home, shares: &[String]) -> Result<(BorrowedFd<'_>, &View)> {
        if self.view.is_none() {
            sys::setns(self.net.as_fd(), libc::CLONE_NEWNET).context(|| "entering a network namespace")?;
            let made = self.make_view(shares);
            let back = go_home(home);
            self.view = Some(made?);
            back?;
        }
        Ok((self.net.as_fd(), self.view.as_ref().expect("made above")))
    }

    fn make_view(&self, shares: &[String]) -> Result<View> {
        let what = || format!("the mount namespace of {}", self.name);
        sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUTS).context(what)?;
        sys::sethostname(&self.name).context(|| "sethostname")?;
        rootfs::enter_node(&self.name, shares).map_err(|e| e.at(what()))?;
        Ok(View { mount: open_ns("mnt")?, uts: open_ns("uts")? })
    }

    /// Do something in the node's network namespace (sockets, /proc/net).
    pub fn in_net<T>(&self, home: &Home, work: impl FnOnce() -> T) -> Result<T> {
        sys::setns(self.net.as_fd(), libc::CLONE_NEWNET).context(|| "entering a network namespace")?;
        let result = work();
        sys::setns(home.net.as_fd(), libc::CLONE_NEWNET).context(|| "leaving a network namespace")?;
        Ok(result)
    }

    /// Do something with the node's files, in its network namespace too (for /proc/sys/net).
    pub fn in_files<T>(&mut self, home: &Home, shares: &[String], work: impl FnOnce() -> T) -> Result<T> {
        let (net, view) = self.entrances(home, shares)?;
        sys::setns(net, libc::CLONE_NEWNET).context(|| "entering a network namespace")?;
        sys::setns(view.mount.as_fd(), libc::CLONE_NEWNS).context(|| "entering a mount namespace")?;
        let result = work();
        go_home(home)?;
        Ok(result)
    }
}

fn open_ns(kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/thread-self/ns/{kind}");
    Ok(File::open(&path).context(|| path)?.into())
}

fn go_home(home: &Home) -> Result<()> {
    sys::setns(home.net.as_fd(), libc::CLONE_NEWNET)
        .and_then(|()| sys::setns(home.mount.as_fd(), libc::CLONE_NEWNS))
        .and_then(|()| sys::setns(home.uts.as_fd(), libc::CLONE_NEWUTS))
        .context(|| "going back to the agent's namespaces")
}
