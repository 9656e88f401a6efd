// SPDX-License-Identifier: MIT
//! Which hardware address stands for which IPv4 address: the state of ARP (RFC 826), without its frames.
//!
//! smoltcp's own cache has no static table, retries without end and holds no packets; so the stack gives smoltcp an IP
//! medium and resolves addresses here.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};

use crate::device::Mac;

/// Packets that wait for one address; the oldest is dropped (Linux: `unres_qlen_bytes`, about 100 small ones).
const HELD_PACKETS: usize = 128;
/// Addresses known at once; beyond it the one that expires first is forgotten (Linux: `gc_thresh3`).
const ENTRIES: usize = 1024;

/// How addresses are resolved.
#[derive(Clone, Debug)]
pub struct ArpSettings {
    /// Known for ever, never asked for and never overwritten.
    pub table: Vec<(Ipv4Addr, Mac)>,
    /// Requests after the first, until the address counts as unreachable.
    pub retries: u32,
    /// Between two requests.
    pub timeout: Duration,
    /// How long an answer is believed.
    pub ttl: Duration,
}

impl Default for ArpSettings {
    fn default() -> Self {
        Self { table: Vec::new(), retries: 5, timeout: Duration::from_secs(1), ttl: Duration::from_secs(600) }
    }
}

#[derive(Debug)]
enum Entry {
    Fixed(Mac),
    Known { mac: Mac, until: Instant },
    Asking { requests: u32, next: Instant, held: VecDeque<Vec<u8>> },
}

/// What became of an address that was asked for too often.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a request for this address now.
    Ask(Ipv4Addr),
    /// Nobody answers for this address; what waited for it is dropped.
    Unreachable(Ipv4Addr),
}

/// The neighbours on the link.
#[derive(Debug)]
pub struct Neighbours {
    entries: BTreeMap<Ipv4Addr, Entry>,
    settings: ArpSettings,
}

impl Neighbours {
    /// Knows the static table and nothing else.
    pub fn new(settings: ArpSettings) -> Self {
        let entries = settings.table.iter().map(|&(address, mac)| (address, Entry::Fixed(mac))).collect();
        Self { entries, settings }
    }

    /// Gives the hardware address, when it is known and not too old.
    pub fn known(&self, address: Ipv4Addr, now: Instant) -> Option<Mac> {
        self.known_at(address, || now)
    }

    /// The same for who has no time yet: it is asked for only where it matters.
    pub fn known_at(&self, address: Ipv4Addr, now: impl FnOnce() -> Instant) -> Option<Mac> {
        match self.entries.get(&address)? {
            Entry::Fixed(mac) => Some(*mac),
            Entry::Known { mac, until } if now() < *until => Some(*mac),
            _ => None,
        }
    }

    /// Keeps a packet until the address is known, and starts to ask for it.
    pub fn hold(&mut self, address: Ipv4Addr, packet: &[u8], now: Instant) {
        if !matches!(self.entries.get(&address), Some(Entry::Asking { .. })) {
            self.make_room();
            let asking = Entry::Asking { requests: 0, next: now, held: VecDeque::new() };
            self.entries.insert(address, asking);
        }
        if let Some(Entry::Asking { held, .. }) = self.entries.get_mut(&address) {
            if held.len() == HELD_PACKETS {
                held.pop_front();
            }
            held.push_back(packet.to_vec());
        }
    }

    /// Whether packets wait for an address.
    pub fn holds(&self) -> bool {
        self.entries.values().any(|entry| matches!(entry, Entry::Asking { held, .. } if !held.is_empty()))
    }

    /// Takes what an ARP packet says of its sender; gives the packets that waited for it, in order.
    ///
    /// A sender that is new is remembered only when the packet was meant for us (`for_us`; RFC 826, "merge").
    pub fn learn(&mut self, address: Ipv4Addr, mac: Mac, for_us: bool, now: Instant) -> VecDeque<Vec<u8>> {
        let until = now + self.settings.ttl;
        match self.entries.get_mut(&address) {
            Some(Entry::Fixed(_)) => VecDeque::new(),
            Some(entry) => match std::mem::replace(entry, Entry::Known { mac, until }) {
                Entry::Asking { held, .. } => held,
                _ => VecDeque::new(),
            },
            None => {
                if for_us {
                    self.make_room();
                    self.entries.insert(address, Entry::Known { mac, until });
                }
                VecDeque::new()
            }
        }
    }

    /// Gives the next thing to do at this time; call it until it gives nothing.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        let (timeout, retries) = (self.settings.timeout, self.settings.retries);
        let address =
            *self.entries.iter().find(|(_, entry)| matches!(entry, Entry::Asking { next, .. } if *next <= now))?.0;
        let Some(Entry::Asking { requests, next, .. }) = self.entries.get_mut(&address) else {
            return None;
        };
        if *requests > retries {
            self.entries.remove(&address);
            return Some(Due::Unreachable(address));
        }
        *requests += 1;
        *next = now + timeout;
        Some(Due::Ask(address))
    }

    /// When [`Neighbours::due`] will next have something to do.
    pub fn next_due(&self) -> Option<Instant> {
        let asking = self.entries.values().filter_map(|entry| match entry {
            Entry::Asking { next, .. } => Some(*next),
            _ => None,
        });
        asking.min()
    }

    /// Forgets the answer that expires first when the table is full.
    fn make_room(&mut self) {
        if self.entries.len() < ENTRIES {
            return;
        }
        let known = self.entries.iter().filter_map(|(address, entry)| match entry {
            Entry::Known { until, .. } => Some((*until, *address)),
            _ => None,
        });
        if let Some((_, oldest)) = known.min() {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const MAC: Mac = [2, 0, 0, 0, 0, 2];

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(seconds)
    }

    #[test]
    fn an_address_nobody_answers_for_is_asked_for_as_often_as_configured() {
        let mut neighbours = Neighbours::new(ArpSettings { retries: 2, ..ArpSettings::default() });
        neighbours.hold(ADDRESS, b"packet", at(0));
        let mut seen = Vec::new();
        while let Some(when) = neighbours.next_due() {
            seen.push((when, neighbours.due(when).unwrap()));
        }
        let asked = |second| (at(second), Due::Ask(ADDRESS));
        assert_eq!(seen, [asked(0), asked(1), asked(2), (at(3), Due::Unreachable(ADDRESS))]);
    }

    #[test]
    fn held_packets_come_back_in_order_and_only_the_newest() {
        let mut neighbours = Neighbours::new(ArpSettings::default());
        for number in 0..=HELD_PACKETS {
            neighbours.hold(ADDRESS, &number.to_le_bytes(), at(0));
        }
        let held = neighbours.learn(ADDRESS, MAC, true, at(0));
        let expected: Vec<Vec<u8>> = (1..=HELD_PACKETS).map(|number| number.to_le_bytes().to_vec()).collect();
        assert_eq!(held, expected);
        assert_eq!(neighbours.known(ADDRESS, at(0)), Some(MAC));
    }

    #[test]
    fn an_answer_is_believed_for_its_time_only() {
        let ttl = Duration::from_secs(5);
        let mut neighbours = Neighbours::new(ArpSettings { ttl, ..ArpSettings::default() });
        neighbours.learn(ADDRESS, MAC, true, at(0));
        assert_eq!(neighbours.known(ADDRESS, at(4)), Some(MAC));
        assert_eq!(neighbours.known(ADDRESS, at(5)), None);
    }

    #[test]
    fn a_static_entry_is_neither_aged_nor_overwritten() {
        let settings = ArpSettings { table: vec![(ADDRESS, MAC)], ..ArpSettings::default() };
        let mut neighbours = Neighbours::new(settings);
        neighbours.learn(ADDRESS, [9; 6], true, at(0));
        assert_eq!(neighbours.known(ADDRESS, at(1_000_000)), Some(MAC));
    }

    #[test]
    fn strangers_are_not_learnt_from_packets_meant_for_others() {
        let mut neighbours = Neighbours::new(ArpSettings::default());
        neighbours.learn(ADDRESS, MAC, false, at(0));
        assert_eq!(neighbours.known(ADDRESS, at(0)), None);
    }

    #[test]
    fn a_full_table_forgets_the_oldest_answer() {
        let mut neighbours = Neighbours::new(ArpSettings::default());
        for number in 0..=u32::try_from(ENTRIES).unwrap() {
            neighbours.learn(Ipv4Addr::from(number), MAC, true, at(i64::from(number)));
        }
        assert_eq!(neighbours.entries.len(), ENTRIES);
        assert_eq!(neighbours.known(Ipv4Addr::from(0), at(1)), None);
        assert_eq!(neighbours.known(Ipv4Addr::from(1), at(1)), Some(MAC));
    }
}
