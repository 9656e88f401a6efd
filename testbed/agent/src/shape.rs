// SPDX-License-Identifier: MIT
//! The impairments of one direction of a link as a root qdisc (net/sched/sch_netem.c, sch_tbf.c).

use crate::error::{Error, Result};
use crate::netlink::{Batch, Tlv, NLM_F_CREATE, NLM_F_REPLACE};
use crate::protocol::Shape;

pub const RTM_NEWQDISC: u16 = 36;
pub const RTM_DELQDISC: u16 = 37;
pub const TCA_KIND: u16 = 1;
pub const TCA_OPTIONS: u16 = 2;
const TC_H_ROOT: u32 = 0xffff_ffff;
const HANDLE: u32 = 1 << 16;
/// A tick of the packet scheduler is 64 ns (PSCHED_SHIFT 6).
const TICK_NS: i64 = 64;

/// What kind of qdisc a shape needs; nothing at all where nothing is impaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qdisc {
    None,
    Netem,
    Tbf,
}

/// Choose the qdisc. Only a plain rate can do without netem.
///
/// # Errors
/// `usage` for a ratio outside 0..1 or reordering without delay, `capability` where netem is missing.
pub fn choose(shape: &Shape, has_netem: bool) -> Result<Qdisc> {
    for (name, ratio) in
        [("loss", shape.loss), ("reorder", shape.reorder), ("duplicate", shape.duplicate), ("corrupt", shape.corrupt)]
    {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Error::usage(format!("{name} is a ratio of 0 to 1, not {ratio}")));
        }
    }
    if shape.delay_ns < 0 || shape.jitter_ns < 0 {
        return Err(Error::usage("delay_ns and jitter_ns are not negative"));
    }
    if shape.rate_bps.is_some_and(|r| r < 8) {
        return Err(Error::usage("rate_bps is at least 8 bit/s"));
    }
    if shape.reorder > 0.0 && shape.delay_ns == 0 {
        return Err(Error::usage("reorder needs a delay: frames overtake others that wait"));
    }
    let impaired = shape.delay_ns > 0
        || shape.jitter_ns > 0
        || shape.loss > 0.0
        || shape.reorder > 0.0
        || shape.duplicate > 0.0
        || shape.corrupt > 0.0;
    match (impaired, shape.rate_bps, has_netem) {
        (false, None, _) => Ok(Qdisc::None),
        (_, _, true) => Ok(Qdisc::Netem),
        (false, Some(_), false) => Ok(Qdisc::Tbf),
        (true, _, false) => Err(Error::capability(
            "delay, jitter, loss, reorder, duplicate and corrupt need netem, which this kernel lacks (CONFIG_NET_SCH_NETEM)",
        )),
    }
}

/// Append the message that gives an interface its qdisc, or takes the old one away.
pub fn apply(batch: &mut Batch, step: &str, ifindex: u32, shape: &Shape, mtu: u32, old: Qdisc, new: Qdisc) {
    if new == Qdisc::None {
        if old != Qdisc::None {
            batch.add(RTM_DELQDISC, 0, format!("{step}: remove qdisc"), |m| {
                m.raw(&tcmsg(ifindex, 0, TC_H_ROOT, 0));
            });
        }
        return;
    }
    let name = if new == Qdisc::Netem { "netem" } else { "tbf" };
    batch.add(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, format!("{step}: {name}"), |m| {
        m.raw(&tcmsg(ifindex, HANDLE, TC_H_ROOT, 0)).string(TCA_KIND, name);
        match new {
            Qdisc::Netem => m.nest_raw(TCA_OPTIONS, |o| netem(o, shape)),
            _ => m.nest(TCA_OPTIONS, |o| tbf(o, shape, mtu)),
        };
    });
}

/// `struct tcmsg` of include/uapi/linux/rtnetlink.h.
pub fn tcmsg(ifindex: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&handle.to_ne_bytes());
    bytes[12..16].copy_from_slice(&parent.to_ne_bytes());
    bytes[16..20].copy_from_slice(&info.to_ne_bytes());
    bytes
}

/// A ratio as netem counts it: of 2^32 - 1.
fn probability(ratio: f64) -> u32 {
    (ratio * f64::from(u32::MAX)).round() as u32
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

fn netem(o: &mut Tlv<'_>, shape: &Shape) {
    const CORR: u16 = 1;
    const REORDER: u16 = 3;
    const CORRUPT: u16 = 4;
    const RATE: u16 = 6;
    const RATE64: u16 = 8;
    const LATENCY64: u16 = 10;
    const JITTER64: u16 = 11;
    const PRNG_SEED: u16 = 14;
    let ticks = |ns: i64| u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX);
    let gap = u32::from(shape.reorder > 0.0);
    o.raw(&words(&[
        ticks(shape.delay_ns),
        shape.queue_packets,
        probability(shape.loss),
        gap,
        probability(shape.duplicate),
        ticks(shape.jitter_ns),
    ]));
    o.put(CORR, &words(&[0, 0, 0]));
    o.put(REORDER, &words(&[probability(shape.reorder), 0]));
    o.put(CORRUPT, &words(&[probability(shape.corrupt), 0]));
    let bytes_per_s = shape.rate_bps.unwrap_or(0) / 8;
    let low = u32::try_from(bytes_per_s).unwrap_or(u32::MAX);
    o.put(RATE, &words(&[low, 0, 0, 0]));
    if bytes_per_s > u64::from(u32::MAX) {
        o.u64(RATE64, bytes_per_s);
    }
    o.put(LATENCY64, &shape.delay_ns.to_ne_bytes());
    o.put(JITTER64, &shape.jitter_ns.to_ne_bytes());
    o.u64(PRNG_SEED, shape.seed);
}

fn tbf(o: &mut Tlv<'_>, shape: &Shape, mtu: u32) {
    const PARMS: u16 = 1;
    const RATE64: u16 = 4;
    const BURST: u16 = 6;
    const LINKLAYER_ETHERNET: u32 = 1;
    let bytes_per_s = shape.rate_bps.unwrap_or(0) / 8;
    let frame = u64::from(mtu) + 18;
    // A bucket of 1 ms, and at least two frames, so that one is never refused.
    let burst = u32::try_from((bytes_per_s / 1000).max(2 * frame)).unwrap_or(u32::MAX);
    let limit = u32::try_from(u64::from(shape.queue_packets) * frame).unwrap_or(u32::MAX);
    let ticks = u64::from(burst) * 1_000_000_000 / bytes_per_s.max(1) / TICK_NS as u64;
    // struct tc_tbf_qopt: rate and peakrate (struct tc_ratespec, 12 bytes each), limit, buffer, mtu.
    let mut parms = words(&[LINKLAYER_ETHERNET << 8, 0]);
    parms.extend_from_slice(&u32::try_from(bytes_per_s).unwrap_or(u32::MAX).to_ne_bytes());
    parms.extend_from_slice(&[0; 12]);
    parms.extend(words(&[limit, u32::try_from(ticks).unwrap_or(u32::MAX), 0]));
    o.put(PARMS, &parms);
    o.u32(BURST, burst);
    if bytes_per_s > u64::from(u32::MAX) {
        o.u64(RATE64, bytes_per_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn clean() -> Shape {
        Shape {
            rate_bps: None,
            delay_ns: 0,
            jitter_ns: 0,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            queue_packets: 1000,
            seed: 1,
        }
    }

    #[test]
    fn nothing_impaired_needs_nothing() {
        assert_eq!(choose(&clean(), false).unwrap(), Qdisc::None);
    }

    #[test]
    fn a_plain_rate_does_without_netem() {
        let shape = Shape { rate_bps: Some(1_000_000), ..clean() };
        assert_eq!(choose(&shape, false).unwrap(), Qdisc::Tbf);
        assert_eq!(choose(&shape, true).unwrap(), Qdisc::Netem);
    }

    #[test]
    fn delay_without_netem_names_netem() {
        let error = choose(&Shape { delay_ns: 1, ..clean() }, false).unwrap_err();
        assert_eq!(error.kind, Kind::Capability);
        assert!(error.what.contains("netem"));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for shape in [
            Shape { loss: 1.5, ..clean() },
            Shape { corrupt: f64::NAN, ..clean() },
            Shape { reorder: 0.1, ..clean() },
            Shape { delay_ns: -1, ..clean() },
            Shape { rate_bps: Some(0), ..clean() },
        ] {
            assert_eq!(choose(&shape, true).unwrap_err().kind, Kind::Usage, "{shape:?}");
        }
    }

    #[test]
    fn ratios_cover_the_whole_range() {
        assert_eq!(probability(0.0), 0);
        assert_eq!(probability(1.0), u32::MAX);
    }
}
