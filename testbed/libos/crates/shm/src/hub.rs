// SPDX-License-Identifier: MIT
//! One engine's regions together: sleeping until one of them changes, and looking whether the others still live.

use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use queue::Errno;

use crate::barrier;
use crate::bell::Bell;
use crate::layout::Side;

/// How often an engine looks whether the processes at the other ends are alive.
const PULSE: Duration = Duration::from_millis(100);

/// Something in shared memory that an engine waits for.
pub trait Sleeper {
    /// Our side of it, where the others see that we sleep, and for what.
    fn side(&self) -> &Side;

    /// What others must do to be of interest: bits of `sleeping`.
    fn wants(&self) -> u32;

    /// Whether something changed since this was asked last.
    fn changed(&self) -> bool;

    /// Look whether the process at the other end lives.
    fn check(&self);
}

/// All sleepers of an engine, its doorbell, and the time of its last look.
pub struct Hub {
    bell: Rc<Bell>,
    sleepers: Vec<Weak<dyn Sleeper>>,
    /// Those that live, while the engine sleeps; kept for its memory.
    living: Vec<Rc<dyn Sleeper>>,
    checked: Option<Instant>,
    pulses: u64,
}

impl Hub {
    /// Open the engine's doorbell.
    pub fn new() -> Result<Hub, Errno> {
        Ok(Hub { bell: Rc::new(Bell::new()?), sleepers: Vec::new(), living: Vec::new(), checked: None, pulses: 0 })
    }

    /// The doorbell, for who must wake others.
    pub(crate) fn bell(&self) -> &Rc<Bell> {
        &self.bell
    }

    /// Wait for this one, too; as long as it lives.
    pub fn watch(&mut self, sleeper: &Rc<impl Sleeper + 'static>) {
        sleeper.side().bell.store(self.bell.number, Ordering::Release);
        let shared: Rc<dyn Sleeper> = Rc::clone(sleeper) as Rc<dyn Sleeper>;
        self.sleepers.push(Rc::downgrade(&shared));
    }

    /// Tell whoever has this side that something changed, where it sleeps for it.
    pub fn wake(&self, side: &Side, reason: u32) {
        ring(&self.bell, side, reason);
    }

    /// How often it was looked who lives: what asks the kernel itself does so when this has changed.
    pub fn pulses(&self) -> u64 {
        self.pulses
    }

    /// Look who lives, where the last look was long ago.
    pub fn pulse(&mut self, now: Instant) {
        if self.checked.is_some_and(|last| now.duration_since(last) < PULSE) {
            return;
        }
        if self.checked.replace(now).is_none() {
            return; // nothing can have died before the first moment
        }
        self.pulses += 1;
        self.sleepers.retain(|sleeper| match sleeper.upgrade() {
            Some(sleeper) => {
                sleeper.check();
                true
            }
            None => false,
        });
    }

    /// Sleep until something changes, until then at the longest, or until the next look is due.
    pub fn idle(&mut self, now: Instant, until: Option<Instant>) {
        let mut living = std::mem::take(&mut self.living);
        living.extend(self.sleepers.iter().filter_map(Weak::upgrade));
        for sleeper in &living {
            sleeper.side().sleeping.store(sleeper.wants(), Ordering::Relaxed);
        }
        // Either we see what another did, or it sees that we sleep: the counterpart is in `ring`.
        barrier::heavy();
        // All are asked, so that none reports an old change the next time.
        let changed = living.iter().filter(|sleeper| sleeper.changed()).count() > 0;
        if !changed {
            self.sleep(now, until, !living.is_empty());
        }
        for sleeper in &living {
            sleeper.side().sleeping.store(0, Ordering::Relaxed);
        }
        self.bell.drain();
        living.clear();
        self.living = living;
    }

    fn sleep(&self, now: Instant, until: Option<Instant>, others: bool) {
        let left = until.map(|until| until.saturating_duration_since(now));
        let left = if others { Some(left.unwrap_or(PULSE).min(PULSE)) } else { left };
        let words = left.map(|left| libc::timespec {
            tv_sec: left.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(left.subsec_nanos() as i32),
        });
        let mut polled = libc::pollfd { fd: self.bell.fd(), events: libc::POLLIN, revents: 0 };
        let timeout = words.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: one valid pollfd, and a time-out that is null or lives until the call returns.
        unsafe { libc::ppoll(&mut polled, 1, timeout, std::ptr::null()) };
    }
}

/// Ring the bell of a side that sleeps for this reason; once, however often something changes.
#[inline(always)]
pub(crate) fn ring(bell: &Bell, side: &Side, reason: u32) {
    barrier::light(bell.registered);
    if side.sleeping.load(Ordering::Relaxed) & reason != 0 && side.sleeping.swap(0, Ordering::Relaxed) != 0 {
        bell.ring(side.bell.load(Ordering::Acquire));
    }
}
