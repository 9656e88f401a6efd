// SPDX-License-Identifier: MIT
//! What a workload says at its end: one line of JSON.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::engine::Pending;

/// Three digits: a value is off by 0.1 % at most.
const DIGITS: u8 = 3;

#[derive(Default, Serialize)]
pub struct Report {
    pub workload: String,
    pub role: &'static str,
    pub connections: u64,
    pub sent: u64,
    pub received: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// Datagrams that were sent and did not come, or were asked for again.
    pub lost: u64,
    pub duration_ns: u64,
    /// Of `tcp-wait`: how the operation ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    #[serde(skip)]
    pub times: Option<Histogram<u64>>,
    /// Why it failed; `null` where it did not.
    pub error: Option<String>,
    /// Where that is a wait that did not end in time: what had not completed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Vec<Pending>>,
}

/// Round trips, in ns.
#[derive(Serialize)]
pub struct Latency {
    pub count: u64,
    pub min_ns: u64,
    pub mean_ns: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
    /// Upper ends of the buckets that are not empty, and how many values each holds, ascending.
    pub buckets: Vec<(u64, u64)>,
}

impl Report {
    /// Take one round trip: when it began and when it ended.
    pub fn time(&mut self, since: Instant, until: Instant) {
        let nanoseconds = u64::try_from(until.duration_since(since).as_nanos()).unwrap_or(u64::MAX);
        // It grows by itself: recording cannot fail (and saturating would not let it grow).
        let _ = self.times.get_or_insert_with(new_histogram).record(nanoseconds);
    }

    /// Add what another thread did.
    pub fn add(&mut self, other: &Report) {
        self.connections += other.connections;
        self.sent += other.sent;
        self.received += other.received;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.lost += other.lost;
        if let Some(times) = &other.times {
            // Histograms of one precision that grow by themselves: adding cannot fail.
            let _ = self.times.get_or_insert_with(new_histogram).add(times);
        }
    }

    /// Print it.
    pub fn finish(mut self, duration: Duration) {
        self.duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.latency = self.times.as_ref().map(Latency::of);
        println!("{}", serde_json::to_string(&self).unwrap_or_default());
    }
}

impl Latency {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a mean of u64 fits
    fn of(times: &Histogram<u64>) -> Self {
        let buckets = times.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value())).collect();
        Self {
            count: times.len(),
            min_ns: times.min(),
            mean_ns: times.mean() as u64,
            p50_ns: times.value_at_quantile(0.5),
            p90_ns: times.value_at_quantile(0.9),
            p99_ns: times.value_at_quantile(0.99),
            p999_ns: times.value_at_quantile(0.999),
            max_ns: times.max(),
            buckets,
        }
    }
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("three digits are a valid precision"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Latency, Report};

    #[test]
    fn times_of_all_threads_are_kept_as_they_are() {
        let (mut all, mut other, now) = (Report::default(), Report::default(), Instant::now());
        all.time(now - Duration::from_millis(5), now);
        other.time(now - Duration::from_secs(2), now);
        all.add(&other);
        let latency = Latency::of(all.times.as_ref().unwrap());
        assert_eq!(latency.count, 2);
        assert!((5_000_000..6_000_000).contains(&latency.p50_ns), "{}", latency.p50_ns);
        assert!((1_990_000_000..2_100_000_000).contains(&latency.max_ns), "{}", latency.max_ns);
        assert_eq!(latency.buckets.iter().map(|(_, count)| count).sum::<u64>(), 2);
    }
}
