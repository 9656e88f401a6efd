// SPDX-License-Identifier: MIT
//! What a stack is told.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;

use queue::{Config, Errno};

use crate::arp::ArpSettings;
use crate::core::length;
use crate::device::Mac;
use crate::packet::{IPV4_HEADER_BYTES, TCP_HEADER_BYTES};
use crate::routes::{Prefix, Route};

/// The least MTU of IPv4, bytes (RFC 791, 3.2).
const LEAST_MTU: usize = 68;

/// The settings of a stack.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our address with the prefix of the link.
    pub local: Prefix,
    pub routes: Vec<Route>,
    /// Ours, where it is not the device's.
    pub mac: Option<Mac>,
    /// The largest IP packet to send, bytes; the device may allow less.
    pub mtu: usize,
    /// The most payload of a segment, bytes; what the MTU allows may be less.
    pub mss: Option<usize>,
    pub arp: ArpSettings,
    /// What ports and initial sequence numbers follow from.
    pub seed: u64,
}

impl Settings {
    /// Reads the settings from a configuration.
    ///
    /// Without a seed, the system's random numbers give one, which in a guest follow from the seed of its case.
    ///
    /// # Errors
    /// `EINVAL`: no address, or one that is none of a host; sizes that IPv4 does not allow. The log says which.
    pub fn new(config: &Config) -> Result<Self, Errno> {
        let refuse = |what: String| {
            log::error!("{what}");
            Errno::EINVAL
        };
        let address = config.local_ipv4.ok_or_else(|| refuse("demikernel.local_ipv4_addr is missing".into()))?;
        let host = !(address.is_unspecified() || address.is_multicast() || address.is_broadcast());
        if !host {
            return Err(refuse(format!("demikernel.local_ipv4_addr is {address}, which is no host's address")));
        }
        let inet = &config.inet;
        if !(LEAST_MTU..=usize::from(u16::MAX)).contains(&inet.mtu) {
            return Err(refuse(format!("inetstack_config.mtu is {}; valid: {LEAST_MTU} to 65535", inet.mtu)));
        }
        if inet.mss == Some(0) {
            return Err(refuse("inetstack_config.mss is 0; valid: 1 and more".into()));
        }
        let everywhere = Prefix { address: Ipv4Addr::UNSPECIFIED, bits: 0 };
        let gateway = config.gateway_ipv4.map(|gateway| Route { prefix: everywhere, gateway: Some(gateway) });
        Ok(Self {
            local: Prefix { address, bits: config.local_prefix_bits.unwrap_or(0).min(32) },
            routes: gateway.into_iter().collect(),
            mac: config.local_mac,
            mtu: inet.mtu,
            mss: inet.mss,
            arp: ArpSettings {
                table: inet.arp_table.clone(),
                retries: inet.arp_retries,
                timeout: length(inet.arp_timeout),
                ttl: length(inet.arp_ttl),
            },
            seed: config.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
        })
    }

    /// The MSS on a link of this MTU, bytes.
    pub fn mss(&self, mtu: usize) -> u16 {
        let most = mtu - IPV4_HEADER_BYTES - TCP_HEADER_BYTES;
        u16::try_from(self.mss.unwrap_or(most).min(most)).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { local_ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)), seed: Some(1), ..Config::default() }
    }

    #[test]
    fn a_host_s_address_is_asked_for() {
        assert!(Settings::new(&config()).is_ok());
        for address in [None, Some(Ipv4Addr::UNSPECIFIED), Some(Ipv4Addr::BROADCAST), Some(Ipv4Addr::new(224, 0, 0, 1))]
        {
            let config = Config { local_ipv4: address, ..config() };
            assert_eq!(Settings::new(&config).err(), Some(Errno::EINVAL), "{address:?}");
        }
    }

    #[test]
    fn sizes_that_ipv4_does_not_allow_are_refused() {
        for (mtu, mss) in [(67, None), (65536, None), (1500, Some(0))] {
            let mut config = config();
            config.inet.mtu = mtu;
            config.inet.mss = mss;
            assert_eq!(Settings::new(&config).err(), Some(Errno::EINVAL), "{mtu} {mss:?}");
        }
    }

    #[test]
    fn the_mss_is_what_the_mtu_allows_or_less() {
        let settings = |mss| Settings { mss, ..Settings::new(&config()).unwrap() };
        assert_eq!(settings(None).mss(1500), 1460);
        assert_eq!(settings(Some(536)).mss(1500), 536);
        assert_eq!(settings(Some(9000)).mss(1500), 1460);
    }
}
