// SPDX-License-Identifier: MIT
//! Waiting for frames: DPDK only polls, but a program that polls for ever burns a CPU, and stops virtual time.
//!
//! A port that is a raw socket (`net_af_packet`) is waited for by poll(2) on that socket: its driver does not tell the
//! descriptor, so it is found among those that starting DPDK opened. Other ports are looked at again after a short sleep, which
//! grows as long as nothing comes.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Between two looks at a port that cannot be waited for: at first, and at most.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(1);

/// The raw sockets that this process has open.
pub fn raw_sockets() -> BTreeSet<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|&fd| domain(fd) == Some(libc::AF_PACKET)).collect()
}

/// The family of a socket; nothing for other descriptors.
fn domain(fd: RawFd) -> Option<c_int> {
    let mut domain: c_int = 0;
    let mut length = mem::size_of_val(&domain) as libc::socklen_t;
    let to = (&raw mut domain).cast();
    // SAFETY: the pointer and the length are those of `domain`; whatever `fd` is, the kernel says so.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, to, &raw mut length) };
    (result == 0).then_some(domain)
}

/// Blocks until frames may have come.
#[derive(Debug)]
pub struct Waiter {
    sockets: Vec<RawFd>,
    /// The next sleep, where there is nothing to wait for.
    nap: Duration,
}

impl Waiter {
    /// Waits for these sockets; without any, by short sleeps.
    pub fn new(sockets: Vec<RawFd>) -> Self {
        Self { sockets, nap: SHORTEST }
    }

    /// Frames came: a look is worth its while again.
    pub fn wake(&mut self) {
        self.nap = SHORTEST;
    }

    /// Blocks at most this long, or until `wake` can be read.
    pub fn wait(&mut self, limit: Option<Duration>, wake: Option<BorrowedFd<'_>>) {
        let mut limit = limit;
        if self.sockets.is_empty() {
            limit = Some(limit.unwrap_or(self.nap).min(self.nap));
            self.nap = (self.nap * 2).min(LONGEST);
        }
        let wake = wake.map(|wake| wake.as_raw_fd());
        let wanted =
            self.sockets.iter().copied().chain(wake).map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let mut wanted: Vec<libc::pollfd> = wanted.collect();
        let time = limit.map(|limit| libc::timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: so many `pollfd`, a `timespec` or null, no signal mask; all outlive the call.
        let count = unsafe { libc::ppoll(wanted.as_mut_ptr(), wanted.len() as libc::nfds_t, time, std::ptr::null()) };
        if count > 0 {
            let failed = wanted[..self.sockets.len()].iter().filter(|wanted| wanted.revents & libc::POLLERR != 0);
            failed.for_each(|wanted| clear_error(wanted.fd));
        }
    }
}

/// Takes the pending error of a socket, such as ENETDOWN when its interface went down: else poll says so for ever.
fn clear_error(fd: RawFd) {
    let mut error: c_int = 0;
    let mut length = mem::size_of_val(&error) as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `error`.
    unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut length) };
    log::info!("the port's raw socket: {}", std::io::Error::from_raw_os_error(error));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_raw_sockets_are_found() {
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(domain(a.as_raw_fd()), Some(libc::AF_UNIX));
        assert_eq!(domain(-1), None);
        assert_eq!(raw_sockets(), BTreeSet::new());
    }

    #[test]
    fn naps_grow_to_a_bound_and_begin_again_when_frames_came() {
        let mut waiter = Waiter::new(Vec::new());
        for _ in 0..8 {
            waiter.wait(None, None);
        }
        assert_eq!(waiter.nap, LONGEST);
        waiter.wake();
        assert_eq!(waiter.nap, SHORTEST);
    }
}
