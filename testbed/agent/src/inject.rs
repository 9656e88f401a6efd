// SPDX-License-Identifier: MIT
//! Frames of a test's own making, put on a link at exact times.

use std::collections::btree_map::Entry;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use serde_bytes::ByteBuf;

use crate::bringup::Fabric;
use crate::capture::Capture;
use crate::clock::Clock;
use crate::error::{Context, Error, Result};
use crate::node::Home;
use crate::protocol::Toward;
use crate::sys;

/// A frame that waits for its time.
struct Waiting {
    link: usize,
    end: usize,
    toward: Toward,
    ifindex: u32,
    frame: ByteBuf,
}

pub struct Injector {
    /// Sends on the fabric's ends past their qdiscs.
    fabric: OwnedFd,
    /// Send as the node, by (link, end).
    nodes: BTreeMap<(usize, usize), OwnedFd>,
    /// By time, then in the order given.
    waiting: BTreeMap<(i64, u64), Waiting>,
    count: u64,
}

impl Injector {
    /// Made in the fabric's namespace.
    pub fn new() -> Result<Self> {
        const PACKET_QDISC_BYPASS: i32 = 20;
        let fabric = packet_socket().context(|| "a packet socket in the fabric")?;
        sys::setsockopt(fabric.as_fd(), libc::SOL_PACKET, PACKET_QDISC_BYPASS, &1_i32.to_ne_bytes())
            .context(|| "PACKET_QDISC_BYPASS")?;
        Ok(Injector { fabric, nodes: BTreeMap::new(), waiting: BTreeMap::new(), count: 0 })
    }

    /// Check and queue frames.
    pub fn add(
        &mut self,
        frames: Vec<(i64, usize, usize, Toward, ByteBuf)>,
        fabric: &mut Fabric,
        home: &Home,
    ) -> Result<()> {
        let mut checked = Vec::with_capacity(frames.len());
        for (at, link, end, toward, frame) in frames {
            let name = fabric.link(link)?.nodes.get(end).cloned();
            let Some(name) = name else {
                return Err(Error::usage(format!("a link has the ends 0 and 1, not {end}")));
            };
            if frame.len() < 14 {
                return Err(Error::usage(format!("a frame has at least 14 bytes (its header), not {}", frame.len())));
            }
            let mut ifindex = fabric.device(link, end);
            if toward == Toward::From {
                let node = fabric.node(&name)?;
                let interface = node.interfaces.iter().find(|i| (i.link, i.end) == (link, end));
                ifindex = interface.map(|i| i.ifindex).ok_or_else(|| Error::internal("a link without its node"))?;
                if let Entry::Vacant(place) = self.nodes.entry((link, end)) {
                    let made = node.in_net(home, packet_socket)?.context(|| format!("a packet socket in {name}"))?;
                    place.insert(made);
                }
            }
            checked.push((at, Waiting { link, end, toward, ifindex, frame }));
        }
        for (at, frame) in checked {
            self.count += 1;
            self.waiting.insert((at, self.count), frame);
        }
        Ok(())
    }

    /// When the next frame is due, on the network's clock.
    pub fn next(&self) -> Option<i64> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Send all frames whose time has come. What a full queue or a cut link refuses is lost, as on a wire.
    pub fn send_due(&mut self, clock: &Clock, mut capture: Option<&mut Capture>) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let now = clock.now();
        while let Some(entry) = self.waiting.first_entry().filter(|e| e.key().0 <= now) {
            let wanted = entry.remove();
            let socket = match wanted.toward {
                Toward::To => &self.fabric,
                Toward::From => match self.nodes.get(&(wanted.link, wanted.end)) {
                    Some(socket) => socket,
                    None => continue,
                },
            };
            let sent = sys::sendto(socket.as_fd(), &wanted.frame, 0, Some(&address(wanted.ifindex)));
            match sent {
                Ok(_) => {
                    // Frames sent past the qdisc are not shown to packet sockets: write them down here.
                    if let (Toward::To, Some(capture)) = (wanted.toward, capture.as_deref_mut()) {
                        capture.delivered(clock, wanted.link, wanted.end, &wanted.frame);
                    }
                }
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENETDOWN | libc::ENOBUFS | libc::ENXIO)) => {}
                Err(e) => return Err(Error::os(format!("injecting {} bytes", wanted.frame.len()), &e)),
            }
        }
        Ok(())
    }
}

/// A socket that only sends.
fn packet_socket() -> std::io::Result<OwnedFd> {
    sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)
}

/// `struct sockaddr_ll` with no more than the interface.
fn address(ifindex: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes
}
