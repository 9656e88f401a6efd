// SPDX-License-Identifier: MIT
//! Offloads of the nodes' interfaces off, so that frames on the wire are real frames with real checksums (ethtool(8)).

use std::os::fd::BorrowedFd;

use crate::error::{Context, Error, Result};
use crate::sys;

const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const NAME: usize = 32;

/// Which feature bits to clear; learnt from the first interface, since their numbers differ between kernels.
#[derive(Default)]
pub struct Offloads {
    clear: Option<Vec<u32>>,
}

/// Features that make a frame on the wire differ from what a receiver would see.
fn unwanted(feature: &str) -> bool {
    (feature.starts_with("tx-checksum-")
        || feature.ends_with("-segmentation")
        || feature == "rx-gro"
        || feature == "rx-lro"
        || feature == "tx-nocache-copy")
        && feature != "tx-checksum-fcoe-crc"
}

impl Offloads {
    /// One ioctl per interface.
    pub fn turn_off(&mut self, socket: BorrowedFd<'_>, interface: &str) -> Result<()> {
        if self.clear.is_none() {
            self.clear = Some(learn(socket, interface)?);
        }
        let clear = self.clear.as_deref().unwrap_or(&[]);
        // struct ethtool_sfeatures: cmd, size, then (valid, requested) per 32 features.
        let mut command = vec![ETHTOOL_SFEATURES, clear.len() as u32];
        command.extend(clear.iter().flat_map(|&bits| [bits, 0]));
        sys::ethtool(socket, interface, &mut command).context(|| format!("offloads of {interface}"))
    }
}

fn learn(socket: BorrowedFd<'_>, interface: &str) -> Result<Vec<u32>> {
    // struct ethtool_sset_info: cmd, reserved, u64 mask, u32 counts.
    let mut info = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0];
    sys::ethtool(socket, interface, &mut info).context(|| format!("features of {interface}"))?;
    let count = info[4] as usize;
    if count == 0 || count > 1024 {
        return Err(Error::internal(format!("{interface} has {count} features")));
    }
    // struct ethtool_gstrings: cmd, string_set, len, then names of 32 bytes.
    let mut strings = vec![0_u32; 3 + count * NAME / 4];
    strings[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count as u32]);
    sys::ethtool(socket, interface, &mut strings).context(|| format!("features of {interface}"))?;
    let bytes: Vec<u8> = strings[3..].iter().flat_map(|w| w.to_ne_bytes()).collect();
    let mut clear = vec![0; count.div_ceil(32)];
    for (bit, name) in bytes.chunks(NAME).enumerate() {
        let end = name.iter().position(|&b| b == 0).unwrap_or(NAME);
        if unwanted(&String::from_utf8_lossy(&name[..end])) {
            clear[bit / 32] |= 1 << (bit % 32);
        }
    }
    Ok(clear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segmentation_and_checksums_go_but_not_scatter_gather() {
        for name in
            ["tx-tcp-segmentation", "tx-generic-segmentation", "rx-gro", "tx-checksum-ip-generic", "tx-checksum-sctp"]
        {
            assert!(unwanted(name), "{name}");
        }
        for name in ["tx-scatter-gather", "tx-vlan-hw-insert", "rx-checksum", "highdma"] {
            assert!(!unwanted(name), "{name}");
        }
    }
}
