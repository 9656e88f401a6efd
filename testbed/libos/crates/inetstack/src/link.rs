// SPDX-License-Identifier: MIT
//! Between IPv4 packets and Ethernet frames: headers, ARP, routes, fragments, the way back to ourselves.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use smoltcp::time::Instant;
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Packet};

use crate::arp::{Due, Neighbours};
use crate::datagram::{self, Datagram, HEADERS_BYTES};
use crate::device::{FrameSender, Mac, ETHERNET_HEADER_BYTES};
use crate::packet::{clamp_mss, fragment};
use crate::routes::{Hop, Routes};

const BROADCAST: Mac = [0xff; 6];
/// Packets to ourselves that wait; one more is lost, as on a wire.
const LOOPBACK_PACKETS: usize = 1024;
/// Length of an ARP packet for Ethernet and IPv4, bytes (RFC 826).
const ARP_BYTES: usize = 28;

/// Everything of the link but the device itself.
pub struct Link {
    pub mac: Mac,
    pub address: Ipv4Addr,
    pub mtu: usize,
    pub mss: u16,
    pub neighbours: Neighbours,
    pub routes: Routes,
    pub now: Instant,
    /// Packets that we sent to ourselves.
    pub loopback: VecDeque<Vec<u8>>,
    /// Addresses that nobody answers for, as they are found out.
    pub unreachable: Vec<Ipv4Addr>,
    /// Whether anything was sent since this was last reset.
    pub sent: bool,
    /// The device has frames that it was not told to hand to the wire yet.
    pub gathered: bool,
    pub ident: u16,
    pub scratch: Vec<u8>,
}

/// What came in.
pub enum Inward<'a> {
    /// An IPv4 packet to us, to a group or to everybody.
    Packet(&'a [u8]),
    /// An ARP packet.
    Arp(ArpRepr),
    /// Anything else.
    Other,
}

impl Link {
    /// Sorts a frame.
    pub fn classify<'a>(&self, frame: &'a [u8]) -> Inward<'a> {
        let Ok(frame) = EthernetFrame::new_checked(frame) else { return Inward::Other };
        let to = frame.dst_addr();
        if to.0 != self.mac && !to.is_broadcast() && !to.is_multicast() {
            return Inward::Other;
        }
        match frame.ethertype() {
            EthernetProtocol::Ipv4 => Inward::Packet(frame.payload()),
            EthernetProtocol::Arp => {
                let packet = ArpPacket::new_checked(frame.payload());
                packet.and_then(|packet| ArpRepr::parse(&packet)).map_or(Inward::Other, Inward::Arp)
            }
            _ => Inward::Other,
        }
    }

    /// Writes the frame's header in front of the packet in it; says whether the frame may go.
    ///
    /// It may not when its neighbour is not known yet (it is held), when it is for ourselves (it goes round), or when no
    /// route leads there (it is dropped).
    fn seal(&mut self, frame: &mut [u8]) -> bool {
        let (header, packet) = frame.split_at_mut(ETHERNET_HEADER_BYTES);
        clamp_mss(packet, self.mss);
        let Some(to) = self.resolve(packet) else { return false };
        self.head(header, to);
        self.sent = true;
        true
    }

    /// Writes the Ethernet header of an IPv4 packet.
    fn head(&self, header: &mut [u8], to: Mac) {
        header[..6].copy_from_slice(&to);
        header[6..12].copy_from_slice(&self.mac);
        header[12..].copy_from_slice(&u16::from(EthernetProtocol::Ipv4).to_be_bytes());
    }

    /// Whether a datagram is from a host that we could answer, to our address and nobody else.
    pub fn is_plain(&self, datagram: &Datagram<'_>) -> bool {
        *datagram.to.ip() == self.address && matches!(self.routes.next_hop(*datagram.from.ip()), Hop::Neighbour(_))
    }

    /// Finds the hardware address for a packet, or does with it what is to be done without.
    fn resolve(&mut self, packet: &[u8]) -> Option<Mac> {
        let destination = Ipv4Packet::new_unchecked(packet).dst_addr();
        match self.routes.next_hop(destination) {
            Hop::Neighbour(neighbour) => {
                let known = self.neighbours.known(neighbour, self.now);
                if known.is_none() {
                    self.neighbours.hold(neighbour, packet, self.now);
                }
                known
            }
            Hop::Broadcast => Some(BROADCAST),
            Hop::Multicast => {
                let [_, b, c, d] = destination.octets();
                Some([0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            Hop::Loopback => {
                if self.loopback.len() < LOOPBACK_PACKETS {
                    self.loopback.push_back(packet.to_vec());
                    self.sent = true;
                }
                None
            }
            Hop::Unreachable => {
                log::debug!("no route to {destination}");
                None
            }
        }
    }
}

/// The link with the device's sending half.
pub struct Outlet<'a, S> {
    pub link: &'a mut Link,
    pub sender: &'a mut S,
}

impl<S: FrameSender> Outlet<'_, S> {
    /// Sends the packet of `length` bytes that `fill` writes, in fragments where it is too long; what the device
    /// has no room for is lost.
    pub fn emit<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let Self { link, sender } = self;
        if length <= link.mtu && sender.ready() {
            let mut result = None;
            sender.send(ETHERNET_HEADER_BYTES + length, |frame| {
                result = Some(fill(&mut frame[ETHERNET_HEADER_BYTES..]));
                link.seal(frame)
            });
            return result.expect("a device that is ready lets its frame be filled");
        }
        let mut packet = std::mem::take(&mut link.scratch);
        packet.clear();
        packet.resize(length, 0);
        let result = fill(&mut packet);
        self.forward(&packet);
        self.link.scratch = packet;
        result
    }

    /// Gives the device a datagram to a known neighbour, to be sent when it is flushed; says whether it had room for it, whole.
    pub fn gather(&mut self, datagram: &Datagram<'_>, to: Mac) -> bool {
        let Self { link, sender } = self;
        let length = HEADERS_BYTES + datagram.bytes.len();
        if length > link.mtu || !sender.ready() {
            return false;
        }
        sender.send(ETHERNET_HEADER_BYTES + length, |frame| {
            let (header, packet) = frame.split_at_mut(ETHERNET_HEADER_BYTES);
            link.head(header, to);
            datagram::write(packet, datagram);
            true
        });
        link.gathered = true;
        true
    }

    /// Sends a whole packet, in fragments where it is too long.
    fn forward(&mut self, packet: &[u8]) {
        let Self { link, sender } = self;
        if packet.len() <= link.mtu {
            if sender.ready() {
                sender.send(ETHERNET_HEADER_BYTES + packet.len(), |frame| {
                    frame[ETHERNET_HEADER_BYTES..].copy_from_slice(packet);
                    link.seal(frame)
                });
            }
            return;
        }
        link.ident = link.ident.wrapping_add(1);
        let mut piece = vec![0; link.mtu];
        let mut offset = Some(0);
        while let Some(at) = offset {
            let (length, next) = fragment(packet, at, link.ident, link.mtu, &mut piece);
            offset = next;
            if sender.ready() {
                sender.send(ETHERNET_HEADER_BYTES + length, |frame| {
                    frame[ETHERNET_HEADER_BYTES..].copy_from_slice(&piece[..length]);
                    link.seal(frame)
                });
            }
        }
    }

    /// Does what an ARP packet asks for (RFC 826).
    pub fn take_arp(&mut self, arp: ArpRepr) {
        let ArpRepr::EthernetIpv4 {
            operation, source_hardware_addr, source_protocol_addr, target_protocol_addr, ..
        } = arp
        else {
            return;
        };
        let for_us = target_protocol_addr == self.link.address;
        if !source_hardware_addr.is_unicast() {
            return;
        }
        if source_protocol_addr == self.link.address {
            log::warn!("{source_hardware_addr} says that it has our address {source_protocol_addr}");
        } else if !source_protocol_addr.is_unspecified() {
            let now = self.link.now;
            for packet in self.link.neighbours.learn(source_protocol_addr, source_hardware_addr.0, for_us, now) {
                self.forward(&packet);
            }
        }
        if for_us && operation == ArpOperation::Request {
            self.send_arp(ArpOperation::Reply, source_hardware_addr.0, source_hardware_addr.0, source_protocol_addr);
        }
    }

    /// Asks for the neighbours whose turn it is, and gives up the ones that did not answer.
    pub fn ask(&mut self) {
        while let Some(due) = self.link.neighbours.due(self.link.now) {
            match due {
                Due::Ask(address) => self.send_arp(ArpOperation::Request, BROADCAST, [0; 6], address),
                Due::Unreachable(address) => {
                    log::info!("nobody answers for {address}");
                    self.link.unreachable.push(address);
                }
            }
        }
    }

    fn send_arp(&mut self, operation: ArpOperation, to: Mac, target: Mac, address: Ipv4Addr) {
        let Self { link, sender } = self;
        if !sender.ready() {
            return;
        }
        let arp = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(link.mac),
            source_protocol_addr: link.address,
            target_hardware_addr: EthernetAddress(target),
            target_protocol_addr: address,
        };
        link.sent = true;
        let mac = link.mac;
        sender.send(ETHERNET_HEADER_BYTES + ARP_BYTES, |bytes| {
            let mut frame = EthernetFrame::new_unchecked(bytes);
            frame.set_dst_addr(EthernetAddress(to));
            frame.set_src_addr(EthernetAddress(mac));
            frame.set_ethertype(EthernetProtocol::Arp);
            arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
            true
        });
    }
}
