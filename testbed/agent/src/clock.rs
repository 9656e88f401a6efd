// SPDX-License-Identifier: MIT
//! The network's clock: CLOCK_MONOTONIC moved so that the network starts at 0.

use crate::sys;

/// Where a network's clock stands in captures: t = 0 is 2024-01-01T00:00:00Z, in ns since 1970.
pub const EPOCH_NS: i64 = 1_704_067_200_000_000_000;
const SECOND: i64 = 1_000_000_000;

pub struct Clock {
    /// CLOCK_MONOTONIC at t = 0; None before the network is up.
    base: Option<i64>,
    /// CLOCK_REALTIME less CLOCK_MONOTONIC.
    real_offset: i64,
}

impl Clock {
    pub fn new() -> Self {
        Clock { base: None, real_offset: real_offset() }
    }

    /// Start the clock: at `settle` ns after boot in a guest (or the next whole second), else now.
    /// Gives the moment of t = 0 on CLOCK_MONOTONIC, which is to be waited for.
    pub fn start(&mut self, settle: i64) -> i64 {
        let now = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let mut base = now;
        if settle > 0 {
            // The guest booted when its wall clock said EPOCH_NS - 2 s; its monotonic clock began a moment later.
            let boot = EPOCH_NS - 2 * SECOND - self.real_offset;
            base = if boot.abs() < SECOND { boot + settle } else { settle };
            while base < now {
                base += SECOND;
            }
        }
        self.base = Some(base);
        base
    }

    /// Nanoseconds since the network started; -1 before.
    pub fn now(&self) -> i64 {
        self.base.map_or(-1, |base| sys::clock_ns(libc::CLOCK_MONOTONIC) - base)
    }

    /// A time of the network's clock on CLOCK_MONOTONIC.
    pub fn monotonic(&self, at: i64) -> i64 {
        at.saturating_add(self.base.unwrap_or(0))
    }

    /// A packet's timestamp (CLOCK_REALTIME) as captures carry it: EPOCH_NS and the network's clock.
    pub fn capture_ns(&self, real: i64) -> i64 {
        real - self.real_offset - self.base.unwrap_or(0) + EPOCH_NS
    }
}

/// Read the wall clock before and after the other one: with equal costs the difference is exact.
fn real_offset() -> i64 {
    let before = sys::clock_ns(libc::CLOCK_REALTIME);
    let middle = sys::clock_ns(libc::CLOCK_MONOTONIC);
    let after = sys::clock_ns(libc::CLOCK_REALTIME);
    before + (after - before) / 2 - middle
}
