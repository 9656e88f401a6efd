// SPDX-License-Identifier: MIT
//! Byte rings in POSIX shared memory (shm_overview(7)) between the processes of a node.
//!
//! A [`Region`] is a shared-memory object with one owner, which a lock of the kernel proves alive. A [`Duplex`] region has
//! two rings; each of its two ends is an [`End`]. A [`Hub`] is one engine's view of all its regions: it knows when to
//! sleep, is woken by a doorbell, and notices ends whose process died.

mod barrier;
mod bell;
mod end;
mod hub;
mod layout;
mod region;
mod ring;

pub use end::{Close, End, Popped};
pub use hub::{Hub, Sleeper};
pub use layout::{Duplex, Shared, Side, CLOSED, OPEN, RESET};
pub use region::{Lock, Region, OWNER};
