// SPDX-License-Identifier: MIT
//! The user-level TCP/UDP/IPv4 stack of the LibOSes: smoltcp, wrapped once.
//!
//! smoltcp gives TCP's state machine, congestion control, ICMP echo, reassembly and UDP, past which whole datagrams go. Added here, because smoltcp has none of
//! it: Ethernet and ARP with a static table, retries and a limit; routes by prefix; fragments of what we send; an MSS of
//! its own; listeners with a backlog; why a connection ended; limits on retransmission; ephemeral ports; the way to ourselves.
//!
//! A flavor gives a [`FrameDevice`]; [`Inet`] makes an [`queue::IoPath`] of it.
#![forbid(unsafe_code)]

mod arp;
mod clock;
mod connection;
mod core;
mod datagram;
mod device;
mod inbox;
mod link;
mod packet;
mod path;
mod phy;
mod ports;
mod routes;
mod settings;
mod stack;
mod tcp;
mod udp;

pub use arp::ArpSettings;
pub use device::{FrameDevice, FrameReceiver, FrameSender, Mac, ETHERNET_HEADER_BYTES};
pub use path::{Endpoint, Inet, OpenDevice};
pub use routes::{Prefix, Route};
pub use settings::Settings;
pub use stack::Stack;
