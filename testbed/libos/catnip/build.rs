// SPDX-License-Identifier: MIT
//! Compiles the shim (and what DPDK calls in place of libc) with what pkg-config says of DPDK. Without DPDK there is no shim, and
//! the flavor says so when it is opened: so the workspace can be checked anywhere.

use std::process::Command;

/// Of DPDK, linked into the library: what the shim calls, what that needs, and drivers. The shared `librte_*.so` would load all of some 170
/// drivers at their start (`eal_plugins_init`), which takes a guest seconds.
const LIBRARIES: [&str; 16] = [
    "rte_eal",
    "rte_ethdev",
    "rte_kvargs",
    "rte_mbuf",
    "rte_mempool",
    "rte_meter",
    "rte_net",
    "rte_pci",
    "rte_ring",
    "rte_telemetry",
    "rte_bus_pci",
    "rte_bus_vdev",
    "rte_mempool_ring",
    "rte_net_af_packet",
    "rte_net_null",
    "rte_net_ring",
];

/// Drivers of network cards and what they need of DPDK.
const CARDS: [&str; 15] = [
    "rte_cryptodev",
    "rte_hash",
    "rte_ip_frag",
    "rte_rcu",
    "rte_security",
    "rte_timer",
    "rte_common_iavf",
    "rte_net_e1000",
    "rte_net_i40e",
    "rte_net_iavf",
    "rte_net_ice",
    "rte_net_ixgbe",
    "rte_net_virtio",
    "rte_net_vmxnet3",
    "rte_net_ena",
];

/// Of the system.
const SYSTEM: [&str; 3] = ["numa", "bsd", "m"];

fn main() {
    println!("cargo:rerun-if-changed=src/shim.c");
    println!("cargo:rerun-if-changed=src/libc.c");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    println!("cargo:rustc-check-cfg=cfg(dpdk)");
    let (Some(flags), Some(folder)) = (pkg_config("--cflags"), pkg_config("--variable=libdir")) else {
        println!("cargo:warning=catnip is built without DPDK: pkg-config knows no libdpdk (package libdpdk-dev)");
        return;
    };
    let mut shim = cc::Build::new();
    shim.files(["src/shim.c", "src/libc.c"])
        .std("gnu11")
        .opt_level(2)
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true);
    for flag in flags.split_whitespace() {
        // DPDK's headers are not ours to be warned of.
        match flag.strip_prefix("-I") {
            Some(folder) => shim.flag("-isystem").flag(folder),
            None => shim.flag(flag),
        };
    }
    // What DPDK calls in place of libc is called by nobody else: all of it is linked.
    shim.link_lib_modifier("+whole-archive").link_lib_modifier("-bundle").compile("shim");
    println!("cargo:rustc-link-search=native={}", folder.trim());
    // Drivers announce themselves by constructors that nobody calls by name: they are linked whole.
    for library in LIBRARIES.iter().chain(&CARDS) {
        println!("cargo:rustc-link-lib=static:+whole-archive,-bundle={library}");
    }
    for library in SYSTEM {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    // A function that is in none of them is an error now, not when a card's driver calls it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
    println!("cargo:rustc-cfg=dpdk");
}

fn pkg_config(what: &str) -> Option<String> {
    let done = Command::new("pkg-config").args([what, "libdpdk"]).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}
