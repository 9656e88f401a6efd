// SPDX-License-Identifier: MIT
//! DPDK binds the thread that starts it to the CPU of its first lcore. Processes of several nodes would all be on that CPU, so
//! the thread gets its CPUs back.

use std::mem;

/// The CPUs that a thread may run on.
pub struct Cpus(libc::cpu_set_t);

impl Cpus {
    /// Those of this thread.
    pub fn of_this_thread() -> Option<Self> {
        // SAFETY: all zero is a valid `cpu_set_t`: no CPUs.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: one `cpu_set_t` of that size; 0 is this thread.
        let result = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) };
        (result == 0).then_some(Self(set))
    }

    /// Lets this thread run on them again.
    pub fn restore(&self) {
        // SAFETY: as above; the set is only read.
        unsafe { libc::sched_setaffinity(0, mem::size_of_val(&self.0), &raw const self.0) };
    }
}
