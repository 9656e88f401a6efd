// SPDX-License-Identifier: MIT
//! Random sequences of calls on pipes, against the simplest model of what must come out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use null::{Null, ROOM_BYTES};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use queue::{Completion, Config, Engine, Errno, Outcome, Token};

const NOW: Option<Duration> = Some(Duration::ZERO);

#[derive(Clone, Debug)]
enum Call {
    Push { end: usize, length: usize },
    Pop { end: usize },
    Close { end: usize },
    Wait { which: usize },
    WaitAny { first: usize, count: usize },
    WaitNext { most: usize },
    WaitTwice { which: usize },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let end = || 0..4_usize;
    // Up to more than a pipe holds, so that pushes wait, and end in parts.
    let length = prop_oneof![7 => 1..200_usize, 1 => 1..2 * ROOM_BYTES];
    let call = prop_oneof![
        8 => (end(), length).prop_map(|(end, length)| Call::Push { end, length }),
        8 => end().prop_map(|end| Call::Pop { end }),
        1 => end().prop_map(|end| Call::Close { end }),
        4 => any::<usize>().prop_map(|which| Call::Wait { which }),
        2 => (any::<usize>(), 1..6_usize).prop_map(|(first, count)| Call::WaitAny { first, count }),
        2 => (1..5_usize).prop_map(|most| Call::WaitNext { most }),
        1 => any::<usize>().prop_map(|which| Call::WaitTwice { which }),
    ];
    prop::collection::vec(call, 1..120)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Push,
    Pop,
}

/// Two pipes with their four ends, and what is known about them.
struct Bench {
    engine: Engine<Null, Vec<u8>>,
    ends: [i32; 4],
    open: [bool; 4],
    /// Operations whose results were not taken, oldest first, by end.
    started: Vec<(Token, usize, Kind)>,
    taken: Vec<Token>,
    /// The next byte that each end pushes, and the next that it must pop.
    next_in: [u8; 4],
    next_out: [u8; 4],
    /// Per end and kind: the tokens in the order in which they must be done.
    order: HashMap<(usize, bool), VecDeque<Token>>,
    /// Popped bytes by token, to be checked in the order of the tokens.
    popped: HashMap<Token, Vec<u8>>,
}

impl Bench {
    fn new() -> Bench {
        let mut engine = Engine::open(&Config::default()).unwrap();
        let mut ends = [0; 4];
        for pipe in 0..2 {
            let name = format!("pipe-{pipe}");
            ends[2 * pipe] = engine.create_pipe(&name).unwrap();
            ends[2 * pipe + 1] = engine.open_pipe(&name).unwrap();
        }
        Bench {
            engine,
            ends,
            open: [true; 4],
            started: Vec::new(),
            taken: Vec::new(),
            next_in: [0; 4],
            next_out: [0; 4],
            order: HashMap::new(),
            popped: HashMap::new(),
        }
    }

    fn start(&mut self, end: usize, kind: Kind, started: Result<Token, Errno>) {
        if !self.open[end] {
            assert_eq!(started, Err(Errno::EBADF));
            return;
        }
        let token = started.unwrap();
        assert!(!self.taken.contains(&token), "a token that was used before");
        assert!(self.started.iter().all(|&(other, ..)| other != token), "a token that is in use");
        self.started.push((token, end, kind));
        self.order.entry((end, kind == Kind::Pop)).or_default().push_back(token);
    }

    fn run(&mut self, call: &Call) {
        match *call {
            Call::Push { end, length } => {
                let first = self.next_in[end];
                let bytes: Vec<u8> = (0..length).map(|place| first.wrapping_add(place as u8)).collect();
                let started = self.engine.push(self.ends[end], bytes, None);
                if started.is_ok() {
                    self.next_in[end] = first.wrapping_add(length as u8);
                }
                self.start(end, Kind::Push, started);
            }
            Call::Pop { end } => {
                let started = self.engine.pop(self.ends[end]);
                self.start(end, Kind::Pop, started);
            }
            Call::Close { end } => {
                let expected = if self.open[end] { Ok(()) } else { Err(Errno::EBADF) };
                assert_eq!(self.engine.close(self.ends[end]), expected);
                self.open[end] = false;
            }
            Call::Wait { which } => {
                let Some(token) = self.pick(which) else { return };
                match self.engine.wait(token, NOW) {
                    Ok(done) => self.take(done),
                    Err(errno) => assert_eq!(errno, Errno::ETIMEDOUT),
                }
            }
            Call::WaitAny { first, count } => {
                let tokens: Vec<Token> = (0..count).filter_map(|place| self.pick(first.wrapping_add(place))).collect();
                if tokens.is_empty() {
                    return;
                }
                match self.engine.wait_any(&tokens, NOW) {
                    Ok((place, done)) => {
                        assert_eq!(done.token, tokens[place]);
                        self.take(done);
                    }
                    Err(errno) => assert_eq!(errno, Errno::ETIMEDOUT),
                }
            }
            Call::WaitNext { most } => {
                let mut results = Vec::new();
                match self.engine.wait_next_n(most, NOW, |done| results.push(done)) {
                    Ok(count) => assert!(count == results.len() && (1..=most).contains(&count)),
                    Err(errno) => assert!(errno == Errno::ETIMEDOUT && results.is_empty()),
                }
                results.into_iter().for_each(|done| self.take(done));
            }
            Call::WaitTwice { which } => {
                let Some(&token) = which.checked_rem(self.taken.len()).and_then(|place| self.taken.get(place)) else {
                    return;
                };
                assert_eq!(self.engine.wait(token, NOW).unwrap_err(), Errno::EINVAL);
            }
        }
    }

    fn pick(&self, which: usize) -> Option<Token> {
        which.checked_rem(self.started.len()).map(|place| self.started[place].0)
    }

    fn take(&mut self, done: Completion) {
        let place = self.started.iter().position(|&(token, ..)| token == done.token).expect("a token that was started");
        let (token, end, kind) = self.started.remove(place);
        assert_eq!(done.qd, self.ends[end]);
        self.taken.push(token);
        match (kind, done.outcome) {
            (Kind::Push, Outcome::Pushed) => {}
            (Kind::Push, Outcome::Failed(Errno::EPIPE)) => assert!(!self.open[end ^ 1] || !self.open[end]),
            (Kind::Pop, Outcome::Popped(buffer, None)) => {
                if buffer.is_empty() {
                    assert!(!self.open[end ^ 1] || !self.open[end], "an end without a close");
                }
                self.popped.insert(token, buffer.filled().to_vec());
                self.engine.pool().give(buffer);
            }
            (_, Outcome::Failed(Errno::ECANCELED)) => assert!(!self.open[end], "cancelled without a close"),
            (kind, outcome) => panic!("{kind:?} came to {outcome:?}"),
        }
        self.check_bytes(end);
    }

    /// Bytes popped at an end, in the order of the pops, are those pushed at the other, one after the other.
    fn check_bytes(&mut self, end: usize) {
        let Some(tokens) = self.order.get_mut(&(end, true)) else { return };
        while let Some(token) = tokens.front().copied() {
            match self.popped.remove(&token) {
                Some(bytes) => {
                    for byte in bytes {
                        assert_eq!(byte, self.next_out[end], "lost, doubled or reordered at end {end}");
                        self.next_out[end] = byte.wrapping_add(1);
                    }
                }
                None if self.taken.contains(&token) => {}
                None => return,
            }
            tokens.pop_front();
        }
    }

    /// In the end everything that was started can be taken, after all ends are closed.
    fn finish(mut self) {
        for end in 0..4 {
            if self.open[end] {
                self.run(&Call::Close { end });
            }
        }
        while !self.started.is_empty() {
            let before = self.started.len();
            self.run(&Call::WaitNext { most: 3 });
            assert!(self.started.len() < before, "{before} operations are neither done nor cancelled");
        }
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, no number")))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: number("TESTBED_FUZZ_CASES", if cfg!(miri) { 4 } else { 128 }).try_into().unwrap(),
        rng_seed: RngSeed::Fixed(number("TESTBED_FUZZ_SEED", 1)),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn bytes_tokens_and_order_hold_under_any_calls(calls in calls()) {
        let mut bench = Bench::new();
        for call in &calls {
            bench.run(call);
        }
        bench.finish();
    }
}
