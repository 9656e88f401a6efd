// SPDX-License-Identifier: MIT
//! The flavor `catnip`: PDPIX over a user-level stack on a port of DPDK.
//!
//! By default the port is the node's interface (`net_af_packet`), which then belongs to the LibOS: the node's kernel has no
//! address on it. `dpdk.eal_init` may name any other port, such as a network card.

#[cfg(any(dpdk, test))]
mod affinity;
#[cfg(dpdk)]
mod device;
#[cfg(not(dpdk))]
#[path = "missing.rs"]
mod device;
#[cfg(all(dpdk, test))]
mod missing;
#[cfg(dpdk)]
mod shim;
#[cfg(any(dpdk, test))]
mod waiter;
#[cfg(any(dpdk, test))]
mod words;

use inetstack::Inet;

pub use device::Dpdk;

abi::export_libos!(Catnip, "catnip");

/// The path: the stack on a port.
pub type Catnip = Inet<Dpdk>;
