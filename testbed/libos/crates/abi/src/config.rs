// SPDX-License-Identifier: MIT
//! The configuration file: YAML, named by `CONFIG_PATH`. An unknown key is a warning, a wrong value an error, both with
//! the key, the value and what is valid.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use queue::{Config, Errno, InetConfig, KeepAlive, TcpOptions};
use yaml_rust2::{Yaml, YamlLoader};

/// Read the file that `CONFIG_PATH` names; without one, what holds by default.
pub fn read() -> Result<Config, Errno> {
    let Some(path) = std::env::var_os("CONFIG_PATH") else { return Ok(Config::default()) };
    let path = Path::new(&path);
    let text = std::fs::read_to_string(path).map_err(|error| {
        log::error!("CONFIG_PATH={}: {error}", path.display());
        Errno::from(error)
    })?;
    parse(&text).map_err(|message| {
        log::error!("{}: {message}", path.display());
        Errno::EINVAL
    })
}

/// Read settings from YAML; the error says which key has which value, and what is valid.
pub fn parse(text: &str) -> Result<Config, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("no YAML: {error}"))?;
    let mut config = Config::default();
    for document in &documents {
        Section { path: String::new(), node: document }.each(|key, value| match key {
            "demikernel" => value.each(|key, value| host(&mut config, key, value)),
            "raw_socket" => value.each(|key, value| match key {
                "linux_interface_name" => value.put(&mut config.interface, Section::text),
                _ => value.unknown(),
            }),
            "dpdk" => value.each(|key, value| match key {
                "eal_init" => value.list().map(|words| config.dpdk_eal = words),
                _ => value.unknown(),
            }),
            "tcp_socket_options" => value.each(|key, value| tcp(&mut config.tcp, key, value)),
            "inetstack_config" => value.each(|key, value| inet(&mut config.inet, key, value)),
            "testbed" => value.each(|key, value| match key {
                "spin_us" => value.put(&mut config.spin, |node| node.duration(Duration::from_micros)),
                "seed" => value.put(&mut config.seed, Section::number),
                _ => value.unknown(),
            }),
            _ => value.unknown(),
        })?;
    }
    Ok(config)
}

fn host(config: &mut Config, key: &str, value: &Section) -> Result<(), String> {
    match key {
        "local_ipv4_addr" => {
            let text = value.text()?;
            let (address, bits) = text.split_once('/').map_or((&*text, None), |(address, bits)| (address, Some(bits)));
            config.local_ipv4 = Some(value.parsed(address, ADDRESS)?);
            config.local_prefix_bits = bits.map(|bits| value.parsed(bits, ADDRESS)).transpose()?;
            match config.local_prefix_bits {
                Some(bits) if bits > 32 => Err(value.wrong(ADDRESS)),
                _ => Ok(()),
            }
        }
        "gateway_ipv4_addr" => value.put(&mut config.gateway_ipv4, |node| node.parsed(&node.text()?, ADDRESS)),
        "local_link_addr" => value.put(&mut config.local_mac, |node| node.mac(&node.text()?)),
        _ => value.unknown(),
    }
}

fn tcp(options: &mut TcpOptions, key: &str, value: &Section) -> Result<(), String> {
    match key {
        "nodelay" => value.put(&mut options.no_delay, Section::truth),
        "keepalive" => {
            let mut found = KeepAlive { enabled: false, time: None, interval: None };
            value.each(|key, value| match key {
                "enabled" => value.truth().map(|enabled| found.enabled = enabled),
                "time_millis" => value.put(&mut found.time, |node| node.duration(Duration::from_millis)),
                "interval" | "interval_millis" => {
                    value.put(&mut found.interval, |node| node.duration(Duration::from_millis))
                }
                _ => value.unknown(),
            })?;
            options.keep_alive = Some(found);
            Ok(())
        }
        "linger" => {
            let (mut enabled, mut length) = (false, Duration::ZERO);
            value.each(|key, value| match key {
                "enabled" => value.truth().map(|found| enabled = found),
                "time_seconds" => value.duration(Duration::from_secs).map(|found| length = found),
                _ => value.unknown(),
            })?;
            options.linger = Some(enabled.then_some(length));
            Ok(())
        }
        _ => value.unknown(),
    }
}

fn inet(config: &mut InetConfig, key: &str, value: &Section) -> Result<(), String> {
    match key {
        // RFC 791: every host takes 576 bytes; more than 65535 no packet has.
        "mtu" => value.within(576, 65535).map(|mtu| config.mtu = mtu),
        "mss" => value.within(1, 65495).map(|mss| config.mss = Some(mss)),
        "arp_request_retries" => value.within(0, 1000).map(|retries| config.arp_retries = retries as u32),
        "arp_request_timeout" => value.duration(Duration::from_secs).map(|length| config.arp_timeout = length),
        "arp_cache_ttl" => value.duration(Duration::from_secs).map(|length| config.arp_ttl = length),
        "arp_table" => {
            let mut table = Vec::new();
            // Address to link address, or the other way round, as files for Demikernel have it.
            value.each(|key, value| {
                let text = value.text()?;
                let (address, mac) = if key.contains(':') { (&*text, key) } else { (key, &*text) };
                table.push((value.parsed(address, ADDRESS)?, value.mac(mac)?));
                Ok(())
            })?;
            config.arp_table = table;
            Ok(())
        }
        _ => value.unknown(),
    }
}

const ADDRESS: &str = "an IPv4 address such as 10.0.1.1 (the local one may have a prefix length, 10.0.1.1/24)";

/// A value with the path of keys that leads to it.
struct Section<'a> {
    path: String,
    node: &'a Yaml,
}

impl Section<'_> {
    /// Visit every key of a mapping; nothing at all is an empty one.
    fn each(&self, mut visit: impl FnMut(&str, &Section) -> Result<(), String>) -> Result<(), String> {
        let map = match self.node {
            Yaml::Hash(map) => map,
            Yaml::Null => return Ok(()),
            _ => return Err(self.wrong("a mapping")),
        };
        for (key, node) in map {
            let key = shown(key);
            let dot = if self.path.is_empty() { "" } else { "." };
            visit(&key, &Section { path: format!("{}{dot}{key}", self.path), node })?;
        }
        Ok(())
    }

    fn put<T>(&self, place: &mut Option<T>, read: impl Fn(&Self) -> Result<T, String>) -> Result<(), String> {
        *place = Some(read(self)?);
        Ok(())
    }

    fn text(&self) -> Result<String, String> {
        self.node.as_str().map(str::to_string).ok_or_else(|| self.wrong("text"))
    }

    fn list(&self) -> Result<Vec<String>, String> {
        let wrong = || self.wrong("a list of words");
        let items = self.node.as_vec().ok_or_else(wrong)?;
        // A word like 64 is a number to YAML.
        let word = |item: &Yaml| match item {
            Yaml::Array(_) | Yaml::Hash(_) | Yaml::Null | Yaml::BadValue => Err(wrong()),
            _ => Ok(shown(item)),
        };
        items.iter().map(word).collect()
    }

    fn truth(&self) -> Result<bool, String> {
        self.node.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    fn number(&self) -> Result<u64, String> {
        self.node
            .as_i64()
            .and_then(|number| number.try_into().ok())
            .ok_or_else(|| self.wrong("a whole number from 0 on"))
    }

    fn within(&self, least: u64, most: u64) -> Result<usize, String> {
        let number = self.number().ok().filter(|number| (least..=most).contains(number));
        number
            .map(|number| number as usize)
            .ok_or_else(|| self.wrong(&format!("a whole number from {least} to {most}")))
    }

    /// A length of time in the unit of the key; at most 2^32 of them, so that no sum overflows.
    fn duration(&self, unit: fn(u64) -> Duration) -> Result<Duration, String> {
        self.within(0, u32::MAX.into()).map(|count| unit(count as u64))
    }

    fn parsed<T: FromStr>(&self, text: &str, valid: impl Display) -> Result<T, String> {
        text.trim().parse().map_err(|_| self.wrong(&valid.to_string()))
    }

    fn mac(&self, text: &str) -> Result<[u8; 6], String> {
        let bytes: Vec<u8> = text.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
        let whole = text.split(':').count() == bytes.len();
        bytes.try_into().ok().filter(|_| whole).ok_or_else(|| self.wrong("a link address such as 02:00:00:00:01:01"))
    }

    fn wrong(&self, valid: &str) -> String {
        let key = if self.path.is_empty() { "the file" } else { &self.path };
        format!("{key} is {}, which is not {valid}", shown(self.node))
    }

    fn unknown(&self) -> Result<(), String> {
        log::warn!("configuration: unknown key {} is ignored", self.path);
        Ok(())
    }
}

fn shown(node: &Yaml) -> String {
    match node {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(truth) => truth.to_string(),
        Yaml::Array(_) => "a list".to_string(),
        Yaml::Hash(_) => "a mapping".to_string(),
        _ => "nothing".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const WHOLE: &str = "
demikernel: {local_ipv4_addr: 10.0.1.1/24, gateway_ipv4_addr: 10.0.1.254, local_link_addr: '02:00:00:00:01:0a'}
raw_socket: {linux_interface_name: eth0}
dpdk: {eal_init: ['--no-huge', -m, 64]}
tcp_socket_options:
  keepalive: {enabled: true, time_millis: 500, interval_millis: 100}
  linger: {enabled: false, time_seconds: 3}
  nodelay: true
inetstack_config:
  mtu: 1500
  mss: 1400
  arp_table: {10.0.1.2: '02:00:00:00:01:02', '02:00:00:00:01:03': 10.0.1.3}
  arp_request_retries: 3
  arp_request_timeout: 2
  arp_cache_ttl: 30
testbed: {spin_us: 0, seed: 7}
";

    #[test]
    fn reads_every_key() {
        let mac = |last| [2, 0, 0, 0, 1, last];
        let expected = Config {
            local_ipv4: Some(Ipv4Addr::new(10, 0, 1, 1)),
            local_prefix_bits: Some(24),
            gateway_ipv4: Some(Ipv4Addr::new(10, 0, 1, 254)),
            local_mac: Some(mac(10)),
            interface: Some("eth0".to_string()),
            dpdk_eal: ["--no-huge", "-m", "64"].map(String::from).to_vec(),
            tcp: TcpOptions {
                keep_alive: Some(KeepAlive {
                    enabled: true,
                    time: Some(Duration::from_millis(500)),
                    interval: Some(Duration::from_millis(100)),
                }),
                linger: Some(None),
                no_delay: Some(true),
            },
            inet: InetConfig {
                mtu: 1500,
                mss: Some(1400),
                arp_table: vec![(Ipv4Addr::new(10, 0, 1, 2), mac(2)), (Ipv4Addr::new(10, 0, 1, 3), mac(3))],
                arp_retries: 3,
                arp_timeout: Duration::from_secs(2),
                arp_ttl: Duration::from_secs(30),
            },
            spin: Some(Duration::ZERO),
            seed: Some(7),
        };
        assert_eq!(parse(WHOLE), Ok(expected));
    }

    #[test]
    fn nothing_and_unknown_keys_leave_the_defaults() {
        for text in ["", "demikernel:", "demikernel: {name: Test}", "more: [1]"] {
            assert_eq!(parse(text), Ok(Config::default()), "{text}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key_and_what_is_valid() {
        let wrong = |text: &str| parse(text).unwrap_err();
        assert_eq!(
            wrong("inetstack_config: {mtu: big}"),
            "inetstack_config.mtu is big, which is not a whole number from 576 to 65535"
        );
        for (text, start) in [
            ("[]", "the file is a list"),
            ("demikernel: 3", "demikernel is 3, which is not a mapping"),
            ("demikernel: {local_ipv4_addr: 10.0.1}", "demikernel.local_ipv4_addr is 10.0.1"),
            ("demikernel: {local_ipv4_addr: 10.0.1.1/33}", "demikernel.local_ipv4_addr is 10.0.1.1/33"),
            ("demikernel: {local_link_addr: '02:00:00:00:01'}", "demikernel.local_link_addr is 02:"),
            ("demikernel: {local_link_addr: '02:00:00:00:01:02:x'}", "demikernel.local_link_addr is 02:"),
            ("dpdk: {eal_init: '-m 64'}", "dpdk.eal_init is -m 64, which is not a list of words"),
            ("dpdk: {eal_init: [[]]}", "dpdk.eal_init is a list, which is not a list of words"),
            ("tcp_socket_options: {nodelay: 1}", "tcp_socket_options.nodelay is 1, which is not true or false"),
            ("tcp_socket_options: {linger: {time_seconds: -1}}", "tcp_socket_options.linger.time_seconds is -1"),
            ("inetstack_config: {arp_table: {10.0.1.2: x}}", "inetstack_config.arp_table.10.0.1.2 is x"),
            ("testbed: {seed: 1.5}", "testbed.seed is 1.5"),
            ("a: b: c", "no YAML: "),
        ] {
            assert!(wrong(text).starts_with(start), "{text} gave: {}", wrong(text));
        }
    }
}
