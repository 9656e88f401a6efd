// SPDX-License-Identifier: MIT
//! Compiles the shim with what pkg-config says of DPDK. Without DPDK there is no shim, and the flavor says so when it is opened:
//! so the workspace can be checked anywhere.

use std::process::Command;

/// Of DPDK's libraries, those whose functions the shim calls; drivers are plugins that DPDK loads itself.
const LIBRARIES: [&str; 4] = ["rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool"];

fn main() {
    println!("cargo:rerun-if-changed=src/shim.c");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    println!("cargo:rustc-check-cfg=cfg(dpdk)");
    let (Some(flags), Some(folders)) = (pkg_config("--cflags"), pkg_config("--libs-only-L")) else {
        println!("cargo:warning=catnip is built without DPDK: pkg-config knows no libdpdk (package libdpdk-dev)");
        return;
    };
    let mut shim = cc::Build::new();
    shim.file("src/shim.c").std("gnu11").opt_level(2).warnings(true).extra_warnings(true).warnings_into_errors(true);
    for flag in flags.split_whitespace() {
        // DPDK's headers are not ours to be warned of.
        match flag.strip_prefix("-I") {
            Some(folder) => shim.flag("-isystem").flag(folder),
            None => shim.flag(flag),
        };
    }
    shim.compile("shim");
    for folder in folders.split_whitespace().filter_map(|flag| flag.strip_prefix("-L")) {
        println!("cargo:rustc-link-search=native={folder}");
    }
    for library in LIBRARIES {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    println!("cargo:rustc-cfg=dpdk");
}

fn pkg_config(what: &str) -> Option<String> {
    let done = Command::new("pkg-config").args([what, "libdpdk"]).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}
