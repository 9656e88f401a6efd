// SPDX-License-Identifier: MIT
//! A clock for who asks often and needs to know only about: it is read in a quarter of the time of the exact one, and is behind
//! it by a tick of the kernel, 1 to 10 ms (clock_gettime(2), `CLOCK_MONOTONIC_COARSE`).

use rustix::time::{clock_gettime, ClockId};
use smoltcp::time::Instant;

/// Counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct CoarseClock {
    epoch_micros: i64,
}

impl CoarseClock {
    /// A clock that starts at zero.
    pub fn new() -> Self {
        Self { epoch_micros: micros() }
    }

    /// The time since it was made.
    pub fn now(self) -> Instant {
        Instant::from_micros(micros() - self.epoch_micros)
    }
}

fn micros() -> i64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_zero_at_the_pace_of_the_exact_clock() {
        let exact = std::time::Instant::now();
        let clock = CoarseClock::new();
        let first = clock.now();
        let second = clock.now();
        assert!(Instant::ZERO <= first && first <= second);
        // The epoch lies up to a tick before it was asked for.
        let tick = 10_000;
        assert!(second.total_micros() <= i64::try_from(exact.elapsed().as_micros()).unwrap() + tick);
    }
}
