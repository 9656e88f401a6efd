// SPDX-License-Identifier: MIT
//! Waiting: poll, then spin for a moment, then idle.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::operation::{Completion, Operations, Token};
use crate::{Errno, IoPath};

impl<P: IoPath, B: AsRef<[u8]>> Engine<P, B> {
    /// Wait until the operation is done, for ever without a time-out.
    ///
    /// # Errors
    /// `EINVAL`: no such token, or its result was taken. `ETIMEDOUT`: not done in time; the token stays good. What is done
    /// already never times out.
    pub fn wait(&mut self, token: Token, timeout: Option<Duration>) -> Result<Completion, Errno> {
        if P::SELF_DRIVEN {
            // What is done needs no driving: one look at its slot.
            if let Some(done) = self.operations.take(token) {
                return Ok(done);
            }
        }
        if !self.operations.knows(token) {
            return Err(Errno::EINVAL);
        }
        self.drive(timeout, |operations| operations.done_as(token).is_some())?;
        self.operations.take(token).ok_or(Errno::EINVAL)
    }

    /// Wait until one of the operations is done; of several, give the one that was done first, and its place.
    ///
    /// # Errors
    /// As [`Engine::wait`]; `EINVAL` also for no tokens at all, or one that is unknown.
    pub fn wait_any(&mut self, tokens: &[Token], timeout: Option<Duration>) -> Result<(usize, Completion), Errno> {
        if tokens.is_empty() || tokens.iter().any(|&token| !self.operations.knows(token)) {
            return Err(Errno::EINVAL);
        }
        let mut looked_at = None;
        let mut found = None;
        self.drive(timeout, |operations| {
            if looked_at != Some(operations.completions()) {
                looked_at = Some(operations.completions());
                let done = tokens.iter().enumerate();
                found = done.filter_map(|(place, &token)| Some((operations.done_as(token)?, place))).min();
            }
            found.is_some()
        })?;
        let (_, place) = found.ok_or(Errno::EINVAL)?;
        Ok((place, self.operations.take(tokens[place]).ok_or(Errno::EINVAL)?))
    }

    /// Wait until any operation is done, then hand at most `most` results to `sink` in the order in which they came.
    ///
    /// # Errors
    /// `EINVAL`: `most` is zero; or there is neither a time-out nor anything to wait for. `ETIMEDOUT`.
    pub fn wait_next_n(
        &mut self,
        most: usize,
        timeout: Option<Duration>,
        mut sink: impl FnMut(Completion),
    ) -> Result<usize, Errno> {
        let nothing = self.operations.first_done().is_none() && self.operations.pending() == 0;
        if most == 0 || (nothing && timeout.is_none()) {
            return Err(Errno::EINVAL);
        }
        self.drive(timeout, |operations| operations.first_done().is_some())?;
        for count in 0..most {
            let Some(next) = self.operations.first_done().and_then(|token| self.operations.take(token)) else {
                return Ok(count);
            };
            sink(next);
        }
        Ok(most)
    }

    /// Move things until `ready` says so, which it may once `wake` can be read; results stay to be taken. A path that moves by
    /// itself needs none of this.
    pub fn drive_until(&mut self, wake: BorrowedFd<'_>, mut ready: impl FnMut() -> bool) {
        let mut quiet_since = Instant::now();
        while !P::SELF_DRIVEN && !ready() {
            let now = Instant::now();
            if self.step(now) {
                quiet_since = now;
            } else if now.duration_since(quiet_since) >= self.spin {
                self.path.idle_or(wake);
            }
        }
    }

    /// Move things until `ready` says so or the time is up.
    fn drive(&mut self, timeout: Option<Duration>, mut ready: impl FnMut(&Operations<B>) -> bool) -> Result<(), Errno> {
        if ready(&self.operations) {
            if !P::SELF_DRIVEN {
                self.path.attend();
            }
            return Ok(());
        }
        let mut now = Instant::now();
        // A time-out beyond what the clock can say is for ever.
        let end = timeout.and_then(|length| now.checked_add(length));
        let mut quiet_since = now;
        // A path that moves by itself and does not spin asks its kernel by idling only: no time is up before that was done.
        let mut looked = !(P::SELF_DRIVEN && self.spin.is_zero());
        // Whether the clock was read after the last pause.
        let mut fresh = true;
        let glances = if self.spin.is_zero() { 0 } else { P::GLANCES };
        loop {
            let moved = self.step(now) || self.glance(glances, now);
            if ready(&self.operations) {
                return Ok(());
            }
            // In virtual time a reading of the clock is what a wait costs: none is made that tells nothing new. Where nothing has
            // moved, a step took no time.
            if moved || !fresh || !self.spin.is_zero() {
                now = Instant::now();
                fresh = true;
            }
            if looked && end.is_some_and(|end| now >= end) {
                return Err(Errno::ETIMEDOUT);
            }
            if moved {
                quiet_since = now;
            } else if now.duration_since(quiet_since) >= self.spin {
                self.path.idle(now, end);
                looked = true;
                fresh = !P::SELF_DRIVEN;
                if fresh {
                    now = Instant::now(); // its timers are moved by the next step
                }
            }
        }
    }
}
