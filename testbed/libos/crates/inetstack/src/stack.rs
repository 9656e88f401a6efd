// SPDX-License-Identifier: MIT
//! One interface with its TCP, UDP and IPv4, moved by whoever polls it.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use queue::{Errno, SocketKind};
use smoltcp::iface::{Interface, PollResult, SocketSet};
use smoltcp::time::Instant as Time;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::arp::Neighbours;
use crate::clock::CoarseClock;
use crate::core::Core;
use crate::datagram::{self, Datagram};
use crate::device::{FrameDevice, FrameReceiver, FrameSender};
use crate::link::{Inward, Link, Outlet};
use crate::packet::{clamp_mss, is_fragment, refusal, segment};
use crate::phy::{Blueprint, Phy};
use crate::ports::Ports;
use crate::routes::{Hop, Routes};
use crate::settings::Settings;
use crate::tcp::Tcp;
use crate::udp::Udp;

/// Frames taken in before what they cause is sent: few enough for the peer's window, many enough to spare it ACKs.
const BATCH_FRAMES: usize = 64;

/// A user-level stack on a device.
pub struct Stack<D: FrameDevice> {
    device: D,
    pub(crate) link: Link,
    pub(crate) core: Core,
    pub(crate) tcp: Tcp,
    pub(crate) udp: Udp,
    pub(crate) ports: Ports,
    /// smoltcp's times count from here.
    epoch: Instant,
    /// A time of the caller and smoltcp's word for it: polls that look in vain come with the same time.
    translated: (Instant, Time),
    /// For what does not wait for the next poll; about from the same time on.
    coarse: CoarseClock,
    /// There was a poll since a datagram was last given to the device: its time is good enough for the next one.
    polled: bool,
    /// Times at which a caller wants to be polled.
    alarms: BTreeSet<Instant>,
    /// When a clock must be looked at again, as long as nothing happens; nothing = not known.
    deadline: Option<Option<Time>>,
}

impl<D: FrameDevice> Stack<D> {
    /// Puts a stack on a device.
    pub fn new(device: D, settings: &Settings, now: Instant) -> Self {
        let mtu = settings.mtu.min(device.mtu());
        let link = Link {
            mac: settings.mac.unwrap_or_else(|| device.mac()),
            address: settings.local.address,
            mtu,
            mss: settings.mss(mtu),
            neighbours: Neighbours::new(settings.arp.clone()),
            routes: Routes::new(settings.local, &settings.routes),
            now: Time::ZERO,
            loopback: VecDeque::new(),
            unreachable: Vec::new(),
            sent: false,
            gathered: false,
            ident: 0,
            scratch: Vec::new(),
        };
        let mut config = smoltcp::iface::Config::new(HardwareAddress::Ip);
        config.random_seed = settings.seed;
        let mut interface = Interface::new(config, &mut Blueprint, Time::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(IpAddress::Ipv4(settings.local.address), settings.local.bits);
            let loopback = IpCidr::new(IpAddress::Ipv4(Ipv4Addr::LOCALHOST), 8);
            // There is room for two of smoltcp's own default.
            for address in [own, loopback] {
                addresses.push(address).expect("smoltcp has room for two addresses");
            }
        });
        Self {
            device,
            link,
            core: Core { interface, sockets: SocketSet::new(Vec::new()), now: Time::ZERO, dirty: false },
            tcp: Tcp::default(),
            udp: Udp::default(),
            ports: Ports::new(settings.seed),
            epoch: now,
            translated: (now, Time::ZERO),
            coarse: CoarseClock::new(),
            polled: false,
            alarms: BTreeSet::new(),
            deadline: None,
        }
    }

    /// Takes a local port; 0 = an ephemeral one.
    pub(crate) fn take_port(&mut self, kind: SocketKind, port: u16) -> Result<u16, Errno> {
        let tcp = &self.tcp;
        self.ports.take(kind, port, |port| kind == SocketKind::Stream && tcp.uses(port))
    }

    /// Our address for packets to a destination.
    ///
    /// # Errors
    /// `ENETUNREACH`: no route leads there.
    pub(crate) fn source_for(&self, to: Ipv4Addr) -> Result<Ipv4Addr, Errno> {
        match self.link.routes.next_hop(to) {
            Hop::Unreachable => Err(Errno::ENETUNREACH),
            Hop::Loopback if to.is_loopback() => Ok(to),
            _ => Ok(self.link.address),
        }
    }

    /// Says whether the address is one of ours, or any.
    pub(crate) fn is_local(&self, address: Ipv4Addr) -> bool {
        address.is_unspecified() || address == self.link.address || address == Ipv4Addr::LOCALHOST
    }

    fn time(&self, now: Instant) -> Time {
        let micros = now.saturating_duration_since(self.epoch).as_micros();
        Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Asks for a poll at this time, though nothing else may move then.
    pub(crate) fn alarm(&mut self, at: Instant) {
        self.alarms.insert(at);
        self.deadline = None;
    }

    /// Moves frames and timers; says whether anything moved.
    pub fn poll(&mut self, now: Instant) -> bool {
        if self.translated.0 != now {
            self.translated = (now, self.time(now));
        }
        let now = self.translated.1;
        let flushed = self.flush();
        self.core.now = now;
        self.polled = true;
        self.link.now = now;
        self.link.sent = false;
        let received = self.take_in();
        let late = self.deadline.flatten().is_some_and(|deadline| deadline <= now);
        let failures = self.tcp.failures;
        if late || self.core.dirty {
            self.deadline = None;
            self.send_out();
        } else if received {
            self.deadline = None;
            let (_, sender) = self.device.split();
            sender.flush();
        } else if self.deadline.is_none() {
            self.deadline = Some(self.look_at_clocks());
        }
        flushed || received || late || self.link.sent || self.tcp.failures != failures
    }

    /// Says whether a frame is waiting.
    pub(crate) fn has_input(&mut self) -> bool {
        let (receiver, _) = self.device.split();
        receiver.is_waiting()
    }

    /// Hands datagrams that were gathered to the wire; says whether there were any.
    pub(crate) fn flush(&mut self) -> bool {
        if !self.link.gathered {
            return false;
        }
        self.link.gathered = false;
        let (_, sender) = self.device.split();
        sender.flush();
        true
    }

    /// Gives the device a datagram that goes at the next flush; says whether nothing stood in its way: others before it, a
    /// neighbour whose address is not known, no room, too many bytes for one frame.
    pub(crate) fn gather(&mut self, id: usize, bytes: &[u8], to: SocketAddrV4, neighbour: Ipv4Addr) -> bool {
        let Some(from) = self.udp.free_to_send(&self.core, id) else { return false };
        // The last poll may be long ago: for one datagram that is all the same, not for many. Times of a caller that keeps its own may
        // be ahead of the clock.
        let polled = std::mem::take(&mut self.polled);
        let now = || if polled { self.core.now } else { self.coarse.now().max(self.core.now) };
        let Some(mac) = self.link.neighbours.known_at(neighbour, now) else { return false };
        let Self { device, link, .. } = self;
        let ip = if from.ip().is_unspecified() { link.address } else { *from.ip() };
        let (_, sender) = device.split();
        Outlet { link, sender }.gather(&Datagram { from: SocketAddrV4::new(ip, from.port()), to, bytes }, mac)
    }

    /// Takes in a batch of frames and what we sent to ourselves; says whether there was any.
    fn take_in(&mut self) -> bool {
        let Self { device, link, core, tcp, udp, .. } = self;
        let (receiver, sender) = device.split();
        let mut outlet = Outlet { link, sender };
        let mut frames = 0;
        while frames < BATCH_FRAMES {
            let Some(frame) = receiver.receive() else { break };
            frames += 1;
            match outlet.link.classify(frame) {
                Inward::Packet(packet) => take_packet(packet, &mut outlet, core, tcp, udp),
                Inward::Arp(arp) => {
                    outlet.take_arp(arp);
                    core.dirty = true;
                }
                Inward::Other => {}
            }
        }
        for _ in 0..outlet.link.loopback.len().min(BATCH_FRAMES) {
            let Some(packet) = outlet.link.loopback.pop_front() else { break };
            frames += 1;
            take_packet(&packet, &mut outlet, core, tcp, udp);
        }
        frames > 0
    }

    /// Sends what sockets and ARP have to send.
    fn send_out(&mut self) {
        let Self { device, link, core, .. } = self;
        let (_, sender) = device.split();
        let mut outlet = Outlet { link, sender };
        core.dirty = false;
        loop {
            let mut phy = Phy { packet: None, outlet: &mut outlet };
            match core.interface.poll_egress(core.now, &mut phy, &mut core.sockets) {
                PollResult::SocketStateChanged => {}
                PollResult::None => break,
            }
        }
        outlet.ask();
        // No room: what is left waits for the next poll.
        core.dirty |= !outlet.sender.ready() || !outlet.link.loopback.is_empty();
        outlet.sender.flush();
    }

    /// Does what is due by the clocks that smoltcp does not have; says when anything is due again.
    fn look_at_clocks(&mut self) -> Option<Time> {
        let review = self.tcp.review(&mut self.core);
        for address in std::mem::take(&mut self.link.unreachable) {
            let routes = &self.link.routes;
            self.tcp.unreachable(&mut self.core, |to| routes.next_hop(to) == Hop::Neighbour(address));
        }
        let sockets = self.core.interface.poll_at(self.core.now, &self.core.sockets);
        let now = self.epoch + since_epoch(self.core.now);
        self.alarms = self.alarms.split_off(&now);
        self.alarms.remove(&now);
        let alarm = self.alarms.first().map(|&alarm| self.time(alarm));
        [review, sockets, self.link.neighbours.next_due(), alarm].into_iter().flatten().min()
    }

    /// Blocks until a frame may have come, a clock is due or `wake` can be read, at most until then. `now` was read just before.
    pub fn wait(&mut self, now: Instant, until: Option<Instant>, wake: Option<BorrowedFd<'_>>) {
        let Some(deadline) = self.deadline.filter(|_| !self.core.dirty && !self.link.gathered) else { return };
        let timer = deadline.map(|time| self.epoch + since_epoch(time));
        let limit = [until, timer].into_iter().flatten().min();
        let limit = limit.map(|until| until.saturating_duration_since(now));
        if limit != Some(Duration::ZERO) {
            self.device.wait(limit, wake);
        }
    }

    /// When [`Stack::poll`] has something to do though no frame comes; only for those who keep their own time.
    pub fn deadline(&self) -> Option<Duration> {
        if self.core.dirty || self.link.gathered || self.deadline.is_none() {
            return Some(Duration::ZERO);
        }
        self.deadline.flatten().map(since_epoch)
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }
}

/// How long after the epoch a time is; smoltcp's "at once" lies before it and is the epoch.
fn since_epoch(time: Time) -> Duration {
    Duration::from_micros(u64::try_from(time.total_micros()).unwrap_or(0))
}

/// Gives a packet to smoltcp, which may make TCP want to send (UDP answers at once or not at all), and does before and after what smoltcp does not.
fn take_packet<S: FrameSender>(
    packet: &[u8],
    outlet: &mut Outlet<'_, S>,
    core: &mut Core,
    tcp: &mut Tcp,
    udp: &mut Udp,
) {
    if let Some(datagram) = datagram::read(packet).filter(|datagram| outlet.link.is_plain(datagram)) {
        if udp.deliver(&datagram) {
            return;
        }
    }
    let segment = segment(packet);
    let mut lowered = Vec::new();
    let mut packet = packet;
    let mut found = None;
    if let Some(segment) = &segment {
        core.dirty = true;
        if !tcp.before(core, segment) {
            return;
        }
        if segment.syn {
            lowered.extend_from_slice(packet);
            clamp_mss(&mut lowered, outlet.link.mss);
            packet = &lowered;
        }
        found = tcp.state(core, segment);
    } else if let Some(refusal) = refusal(packet) {
        if refusal.tcp {
            tcp.refuse(core, &refusal);
        } else {
            udp.refuse(&refusal);
        }
    }
    // A fragment may be the last one of a segment.
    core.dirty |= is_fragment(packet);
    let mut phy = Phy { packet: Some(packet), outlet };
    core.interface.poll_ingress_single(core.now, &mut phy, &mut core.sockets);
    match (&segment, found) {
        (Some(segment), Some((id, state))) => tcp.after(core, segment, id, state),
        (Some(_), None) => {}
        (None, _) => udp.collect(core),
    }
}
