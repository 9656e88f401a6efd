// SPDX-License-Identifier: MIT
//! The words that DPDK is started with (its Getting Started Guide for Linux, "EAL parameters").

/// The driver's rings: the usual 512 slots, each of which just holds a frame of 1514 bytes behind what the kernel writes (packet(7)), and not the
/// usual 2048 bytes: slots whose distance is a power of two fall on few sets of the caches, which two rings fill. A block is a whole number of
/// slots and of pages.
const RING: &str = "framesz=1600,blocksz=102400";

/// Gives the configured words, or the usual ones for an interface of the kernel, and what every one of our processes needs.
///
/// Several processes of a machine run DPDK at once, so none leaves files that all of them would share (`--no-shconf`), unless
/// the words say how they are kept apart.
pub fn words(configured: &[String], interface: Option<&str>) -> Option<Vec<String>> {
    let mut words: Vec<String> = if configured.is_empty() {
        let usual = ["--lcores", "0@0", "--no-telemetry", "--no-huge", "--no-pci", "-m", "64"];
        let device = format!("--vdev=net_af_packet0,iface={},{RING}", interface?);
        usual.into_iter().map(String::from).chain([device]).collect()
    } else {
        configured.to_vec()
    };
    let says =
        |words: &[String], names: &[&str]| words.iter().any(|word| names.iter().any(|name| word.starts_with(name)));
    if !says(&words, &["--in-memory", "--file-prefix", "--no-shconf"]) {
        words.push("--no-shconf".into());
    }
    if !says(&words, &["--log-level"]) {
        words.push("--log-level=warning".into());
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_gives_the_usual_words() {
        let words = words(&[], Some("eth0")).unwrap();
        assert!(words.contains(&"--vdev=net_af_packet0,iface=eth0,framesz=1600,blocksz=102400".into()));
        assert!(words.contains(&"--no-huge".into()));
        assert_eq!(words.last().unwrap(), "--log-level=warning");
    }

    #[test]
    fn configured_words_pass_through_and_are_not_contradicted() {
        let own = ["-a", "0000:3b:00.0", "--file-prefix=mine", "--log-level=debug"].map(String::from);
        assert_eq!(words(&own, Some("eth0")).unwrap(), own);
        assert_eq!(words(&own[..2], None).unwrap(), ["-a", "0000:3b:00.0", "--no-shconf", "--log-level=warning"]);
    }

    #[test]
    fn neither_words_nor_interface_is_nothing_to_start_with() {
        assert_eq!(words(&[], None), None);
    }
}
