// SPDX-License-Identifier: MIT
//! Ports: a region per port that somebody holds, with the connections that wait to be accepted there.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use queue::Errno;
use shm::{Hub, Lock, Region, Shared, Side, Sleeper, OPEN, OWNER};

/// Who puts a connection into the backlog; the kernel takes it from a process that dies there.
const CALLER: Lock = Lock(1);
/// Connections that can wait at one port; a larger backlog is this one, as with Linux's somaxconn.
const SLOTS: usize = 256;
/// Ephemeral ports (RFC 6335, section 6).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49152..=65535;
/// What a sleeping listener is woken for.
pub const CALL: u32 = 1;

/// A port in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Backlog {
    magic: AtomicU64,
    pub side: Side,
    /// Connections that may wait; 0: nobody listens.
    limit: AtomicU32,
    /// Connections that ever came, and that were taken.
    came: AtomicU64,
    taken: AtomicU64,
    /// The callers' addresses, as [`to_word`] has them.
    callers: [AtomicU64; SLOTS],
}

// SAFETY: atomics only; 2,3 kB long.
unsafe impl Shared for Backlog {
    const MAGIC: u64 = u64::from_le_bytes(*b"tbport01");
    const LENGTH: usize = 4096;

    fn magic(&self) -> &AtomicU64 {
        &self.magic
    }
}

const _: () = assert!(std::mem::size_of::<Backlog>() <= Backlog::LENGTH);

/// A port that is ours as long as this lives.
#[derive(Debug)]
pub struct Port {
    pub address: SocketAddrV4,
    region: Region<Backlog>,
    seen: std::cell::Cell<u64>,
}

impl Port {
    /// Take a port; 0 is any that is free.
    ///
    /// # Errors
    /// `EADDRINUSE`: a living process has it, or all are taken. Else see [`Region::create`].
    pub fn take(hub: &mut Hub, address: SocketAddrV4, next: &mut u16) -> Result<Rc<Port>, Errno> {
        if address.port() != 0 {
            return Port::exactly(hub, address);
        }
        for _ in EPHEMERAL {
            let number = (*next).max(*EPHEMERAL.start());
            *next = number.checked_add(1).unwrap_or(*EPHEMERAL.start());
            match Port::exactly(hub, SocketAddrV4::new(*address.ip(), number)) {
                Err(Errno::EADDRINUSE) => {}
                other => return other,
            }
        }
        Err(Errno::EADDRINUSE)
    }

    fn exactly(hub: &mut Hub, address: SocketAddrV4) -> Result<Rc<Port>, Errno> {
        let region = Region::create(&name(address.port())).map_err(|errno| match errno {
            Errno::EEXIST => Errno::EADDRINUSE,
            other => other,
        })?;
        let port = Rc::new(Port { address, region, seen: std::cell::Cell::new(0) });
        hub.watch(&port);
        Ok(port)
    }

    /// Let callers come.
    pub fn listen(&self, backlog: u32) {
        self.region.side.state.store(OPEN, Ordering::Release);
        self.region.limit.store(backlog.min(SLOTS as u32), Ordering::Release);
    }

    /// Take the caller that has waited longest.
    pub fn next(&self) -> Option<SocketAddrV4> {
        let taken = self.region.taken.load(Ordering::Relaxed);
        if self.region.came.load(Ordering::Acquire) == taken {
            return None;
        }
        let caller = self.region.callers[taken as usize % SLOTS].load(Ordering::Relaxed);
        self.region.taken.store(taken + 1, Ordering::Release);
        Some(to_address(caller))
    }

    /// Let nobody call any more.
    pub fn hang_up(&self) {
        self.region.limit.store(0, Ordering::Release);
        self.region.unlink();
    }
}

impl Sleeper for Port {
    fn side(&self) -> &Side {
        &self.region.side
    }

    fn wants(&self) -> u32 {
        CALL
    }

    fn changed(&self) -> bool {
        let came = self.region.came.load(Ordering::Acquire);
        self.seen.replace(came) != came
    }

    fn check(&self) {}
}

/// A listener as its callers see it.
#[derive(Debug)]
pub struct Listener(Region<Backlog>);

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Waiting,
    /// The backlog is full, or another is just calling.
    Busy,
}

impl Listener {
    /// Find who listens at a port.
    ///
    /// # Errors
    /// `ECONNREFUSED`: nobody.
    pub fn find(port: u16) -> Result<Listener, Errno> {
        match Region::<Backlog>::open(&name(port)) {
            Ok(region) if region.limit.load(Ordering::Acquire) > 0 => Ok(Listener(region)),
            Ok(_) | Err(Errno::ENOENT) => Err(Errno::ECONNREFUSED),
            Err(errno) => Err(errno),
        }
    }

    /// Put ourselves into its backlog.
    ///
    /// # Errors
    /// `ECONNREFUSED`: it no longer listens.
    pub fn call(&self, hub: &Hub, caller: SocketAddrV4) -> Result<Call, Errno> {
        let limit = self.0.limit.load(Ordering::Acquire);
        if limit == 0 || !self.lives() {
            return Err(Errno::ECONNREFUSED);
        }
        if !self.0.lock(CALLER)? {
            return Ok(Call::Busy);
        }
        let came = self.0.came.load(Ordering::Relaxed);
        let waiting = came.wrapping_sub(self.0.taken.load(Ordering::Acquire));
        let room = waiting < u64::from(limit);
        if room {
            self.0.callers[came as usize % SLOTS].store(to_word(caller), Ordering::Relaxed);
            self.0.came.store(came + 1, Ordering::Release);
        }
        self.0.unlock(CALLER);
        if !room {
            return Ok(Call::Busy);
        }
        hub.wake(&self.0.side, CALL);
        Ok(Call::Waiting)
    }

    /// Whether its process lives and has the port.
    pub fn lives(&self) -> bool {
        self.0.held(OWNER)
    }
}

/// Addresses in one number: the IPv4 address above the port.
pub fn to_word(address: SocketAddrV4) -> u64 {
    u64::from(u32::from(*address.ip())) << 16 | u64::from(address.port())
}

pub fn to_address(word: u64) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from((word >> 16) as u32), word as u16)
}

fn name(port: u16) -> String {
    format!("catloop-{port}")
}

/// The name of a connection's region: nobody else can have it, as its caller holds that port.
pub fn connection(listener: u16, caller: u16) -> String {
    format!("catloop-{listener}-{caller}")
}
