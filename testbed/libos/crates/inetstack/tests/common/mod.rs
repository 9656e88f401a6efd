// SPDX-License-Identifier: MIT
//! Hosts with a stack each on one wire, under a clock that jumps: everything follows from the wire's rule and seed.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use inetstack::{Endpoint, FrameDevice, FrameReceiver, FrameSender, Inet, Mac, OpenDevice};
use queue::{Buffer, Config, Errno, IoPath, SocketKind};

/// Frames on their way out of or into a device.
type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;
/// What a pop gives: bytes, and a datagram's sender.
pub type Popped = Poll<Result<(Vec<u8>, Option<SocketAddrV4>), Errno>>;

#[derive(Default)]
pub struct Receiver {
    waiting: Frames,
    current: Vec<u8>,
}

impl FrameReceiver for Receiver {
    fn receive(&mut self) -> Option<&[u8]> {
        self.current = self.waiting.borrow_mut().pop_front()?;
        Some(&self.current)
    }

    fn is_waiting(&mut self) -> bool {
        !self.waiting.borrow().is_empty()
    }
}

#[derive(Default)]
pub struct Sender {
    sent: Frames,
}

impl FrameSender for Sender {
    fn ready(&mut self) -> bool {
        self.sent.borrow().len() < 256
    }

    fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> bool) {
        let mut frame = vec![0xee; length];
        if fill(&mut frame) {
            self.sent.borrow_mut().push_back(frame);
        }
    }

    fn flush(&mut self) {}
}

/// A device in memory.
#[derive(Default)]
pub struct Memory {
    mac: Mac,
    receiver: Receiver,
    sender: Sender,
}

impl FrameDevice for Memory {
    type Receiver = Receiver;
    type Sender = Sender;

    fn mac(&self) -> Mac {
        self.mac
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn split(&mut self) -> (&mut Receiver, &mut Sender) {
        (&mut self.receiver, &mut self.sender)
    }

    fn wait(&mut self, _limit: Option<Duration>, _wake: Option<BorrowedFd<'_>>) {
        unreachable!("the test keeps the time")
    }
}

impl OpenDevice for Memory {
    fn open(_config: &Config) -> Result<Self, Errno> {
        Err(Errno::ENODEV)
    }
}

/// The hardware address of host `number`.
pub fn mac(number: u8) -> Mac {
    [2, 0, 0, 0, 0, number]
}

/// The address of host `number`.
pub fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

/// A port of host `number`.
pub fn at(number: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(ip(number), port)
}

/// The settings of host `number`.
pub fn config(number: u8) -> Config {
    Config {
        local_ipv4: Some(ip(number)),
        local_prefix_bits: Some(24),
        seed: Some(u64::from(number)),
        ..Config::default()
    }
}

/// A stack with the far ends of its device.
pub struct Host {
    pub inet: Inet<Memory>,
    inward: Frames,
    pub outward: Frames,
}

impl Host {
    pub fn new(number: u8, config: &Config, now: Instant) -> Self {
        let device = Memory { mac: mac(number), ..Memory::default() };
        let (inward, outward) = (Rc::clone(&device.receiver.waiting), Rc::clone(&device.sender.sent));
        Self { inet: Inet::on(device, config, now).unwrap(), inward, outward }
    }

    pub fn socket(&mut self, kind: SocketKind) -> Endpoint {
        self.inet.socket(kind).unwrap()
    }

    /// A listener at a port.
    pub fn listener(&mut self, local: SocketAddrV4, backlog: u32) -> Endpoint {
        let mut socket = self.socket(SocketKind::Stream);
        self.inet.bind(&mut socket, local).unwrap();
        self.inet.listen(&mut socket, backlog).unwrap();
        socket
    }

    /// A stream on its way to a peer.
    pub fn connecting(&mut self, remote: SocketAddrV4) -> Endpoint {
        let mut socket = self.socket(SocketKind::Stream);
        self.inet.connect(&mut socket, remote).unwrap();
        socket
    }

    /// A datagram socket.
    pub fn datagrams(&mut self, local: SocketAddrV4) -> Endpoint {
        let mut socket = self.socket(SocketKind::Datagram);
        self.inet.bind(&mut socket, local).unwrap();
        socket
    }

    /// Pops into a fresh buffer.
    pub fn pop(&mut self, socket: &mut Endpoint) -> Popped {
        let mut buffer = Buffer::with_capacity(65536);
        let waiting = self.inet.waiting(socket);
        let polled = self.inet.poll_pop(socket, &mut buffer);
        // The engine pops into a buffer for that.
        assert!(waiting == 0 || !matches!(polled, Poll::Ready(Ok(_))) || buffer.len() == waiting, "{waiting}");
        polled.map_ok(|from| (buffer.filled().to_vec(), from))
    }
}

/// A generator of numbers (splitmix64, Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }
}

/// What becomes of a frame: each of these arrives after its delay.
pub type Fate = Vec<(Duration, Vec<u8>)>;
/// Decides from sender, time and frame.
pub type Rule = Box<dyn FnMut(usize, Duration, &[u8]) -> Fate>;

/// How long a frame takes on a clean wire.
pub const DELAY: Duration = Duration::from_millis(1);

/// A clean wire.
pub fn clean() -> Rule {
    Box::new(|_, _, frame| vec![(DELAY, frame.to_vec())])
}

/// A wire that loses, doubles, delays and corrupts so many frames in a thousand.
pub fn faulty(seed: u64, loss: u64, duplicate: u64, reorder: u64, corrupt: u64) -> Rule {
    let mut random = Random(seed);
    Box::new(move |_, _, frame| {
        let mut fate = Vec::new();
        let copies = 1 + usize::from(random.chance(duplicate));
        for _ in 0..copies {
            let mut frame = frame.to_vec();
            if random.chance(loss) {
                continue;
            }
            if random.chance(corrupt) {
                let bit = usize::try_from(random.next()).unwrap() % (frame.len() * 8);
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            let late =
                if random.chance(reorder) { Duration::from_micros(random.next() % 5000) } else { Duration::ZERO };
            fate.push((DELAY + late, frame));
        }
        fate
    })
}

/// Hosts 1, 2, ... on a wire.
pub struct Net {
    pub hosts: Vec<Host>,
    pub rule: Rule,
    /// Every frame that was sent: when, by whom (0 = the first), what.
    pub log: Vec<(Duration, usize, Vec<u8>)>,
    pub now: Duration,
    start: Instant,
    flying: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    count: u64,
}

impl Net {
    pub fn new(configs: &[Config], rule: Rule) -> Self {
        let start = Instant::now();
        let host = |(number, config)| Host::new(u8::try_from(number).unwrap() + 1, config, start);
        let hosts = configs.iter().enumerate().map(host).collect();
        Self { hosts, rule, log: Vec::new(), now: Duration::ZERO, start, flying: BTreeMap::new(), count: 0 }
    }

    /// Two hosts.
    pub fn pair(rule: Rule) -> Self {
        Self::new(&[config(1), config(2)], rule)
    }

    /// Puts a frame onto the wire for a host.
    pub fn inject(&mut self, to: usize, after: Duration, frame: Vec<u8>) {
        self.count += 1;
        self.flying.insert((self.now + after, self.count), (to, frame));
    }

    /// Delivers what is due and polls everybody until nothing moves.
    pub fn settle(&mut self) {
        loop {
            while self.flying.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
                let (_, (to, frame)) = self.flying.pop_first().unwrap();
                self.hosts[to].inward.borrow_mut().push_back(frame);
            }
            let mut moved = false;
            for from in 0..self.hosts.len() {
                moved |= self.hosts[from].inet.poll_io(self.start + self.now);
                while let Some(frame) = self.take(from) {
                    self.log.push((self.now, from, frame.clone()));
                    for (delay, frame) in (self.rule)(from, self.now, &frame) {
                        for to in (0..self.hosts.len()).filter(|&to| to != from) {
                            self.inject(to, delay, frame.clone());
                        }
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn take(&mut self, from: usize) -> Option<Vec<u8>> {
        self.hosts[from].outward.borrow_mut().pop_front()
    }

    /// Lets time pass until something is due; false when nothing ever is.
    pub fn advance(&mut self) -> bool {
        let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
        let timers = self.hosts.iter_mut().filter_map(|host| host.inet.stack().deadline());
        match timers.chain(arrival).min() {
            Some(at) => {
                self.now = self.now.max(at);
                true
            }
            None => false,
        }
    }

    /// Runs until `ask` is ready.
    pub fn until<T>(&mut self, limit: Duration, mut ask: impl FnMut(&mut [Host]) -> Poll<T>) -> T {
        loop {
            if let Poll::Ready(answer) = ask(&mut self.hosts) {
                return answer;
            }
            self.settle();
            if let Poll::Ready(answer) = ask(&mut self.hosts) {
                return answer;
            }
            assert!(self.advance(), "nothing will ever happen again, at {:?}", self.now);
            assert!(self.now <= limit, "nothing came of it until {:?}", self.now);
        }
    }

    /// Runs until this time.
    pub fn run_until(&mut self, end: Duration) {
        loop {
            self.settle();
            let before = self.now;
            if !self.advance() || self.now > end {
                self.now = before.max(end);
                return;
            }
        }
    }

    /// Connects host 0 to host 1: the client's end, the server's.
    pub fn connected(&mut self, port: u16) -> (Endpoint, Endpoint) {
        let mut listener = self.hosts[1].listener(at(2, port), 16);
        let mut client = self.hosts[0].connecting(at(2, port));
        let limit = self.now + Duration::from_secs(600);
        self.until(limit, |hosts| hosts[0].inet.poll_connect(&mut client)).unwrap();
        let (server, from) = self.until(limit, |hosts| hosts[1].inet.poll_accept(&mut listener)).unwrap();
        assert_eq!(*from.ip(), ip(1));
        (client, server)
    }
}
