// SPDX-License-Identifier: MIT
//! Who wakes others must see that they sleep, and who goes to sleep must see what others did: between the store of one and the
//! load of the other each side needs a barrier (x86-64 lets a load overtake a store). The side that is in a hurry leaves its
//! barrier to the other one: membarrier(2) makes it on all CPUs where a registered process runs.

use std::sync::atomic::{compiler_fence, fence, Ordering};
use std::sync::OnceLock;

/// `MEMBARRIER_CMD_GLOBAL_EXPEDITED` and its registration (linux/membarrier.h).
const GLOBAL: libc::c_int = 1 << 1;
const REGISTER_GLOBAL: libc::c_int = 1 << 2;

/// Whether this process may leave its barriers to those who go to sleep.
static REGISTERED: OnceLock<bool> = OnceLock::new();

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: no pointers; an unknown command is EINVAL, a kernel without the call ENOSYS.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Register this process, once; whether [`light`] may leave the barrier to others.
pub fn register() -> bool {
    *REGISTERED.get_or_init(|| membarrier(REGISTER_GLOBAL))
}

/// Between our store and our load, where the other side says [`heavy`]; `registered` is what [`register`] gave.
pub fn light(registered: bool) {
    if registered {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Between our store and our load, and between those of everybody who says [`light`].
///
/// Where the kernel has no such call, nobody registered either, and the others make their barriers themselves.
pub fn heavy() {
    fence(Ordering::SeqCst);
    if register() {
        membarrier(GLOBAL);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn of_two_that_store_and_look_one_sees_the_other() {
        let registered = register();
        let (flags, start) = (Arc::new([const { AtomicBool::new(false) }; 2]), Arc::new(Barrier::new(2)));
        let other = {
            let (flags, start) = (Arc::clone(&flags), Arc::clone(&start));
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                for _ in 0..1000 {
                    start.wait();
                    flags[1].store(true, Ordering::Relaxed);
                    light(registered);
                    seen.push(flags[0].load(Ordering::Relaxed));
                    start.wait();
                    start.wait();
                }
                seen
            })
        };
        let mut seen = Vec::new();
        for _ in 0..1000 {
            start.wait();
            flags[0].store(true, Ordering::Relaxed);
            heavy();
            seen.push(flags[1].load(Ordering::Relaxed));
            start.wait();
            flags.iter().for_each(|flag| flag.store(false, Ordering::Relaxed));
            start.wait();
        }
        let theirs = other.join().unwrap();
        assert!(seen.iter().zip(&theirs).all(|(ours, theirs)| *ours || *theirs));
    }
}
