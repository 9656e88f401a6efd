// SPDX-License-Identifier: MIT
//! Random calls on sockets, against a model of their states: each call answers what the table of `doc/libos-internals.md` says.
//!
//! `TESTBED_FUZZ_CASES` and `TESTBED_FUZZ_SEED` make a longer or another run; the seeds of failures are kept beside this file.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use null::Null;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use queue::{Completion, Config, Engine, Errno, Outcome, SocketKind, Token};

#[derive(Clone, Debug)]
enum Call {
    Socket,
    Bind { which: usize, port: u16 },
    Listen { which: usize, backlog: u32 },
    Accept { which: usize },
    Connect { which: usize, port: u16 },
    Push { which: usize, length: usize },
    Pop { which: usize },
    PeerName { which: usize },
    Close { which: usize },
    Wait { which: usize, millis: u64 },
    WaitAny { first: usize, count: usize, millis: u64 },
    WaitNext { most: usize, millis: u64 },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let which = any::<usize>;
    // Few ports, so that they meet; one of them nobody may have: 0 is any.
    let port = || 0..4_u16;
    let millis = || prop_oneof![9 => Just(0), 1 => 1..3_u64];
    let call = prop_oneof![
        4 => Just(Call::Socket),
        4 => (which(), port()).prop_map(|(which, port)| Call::Bind { which, port }),
        4 => (which(), 0..3_u32).prop_map(|(which, backlog)| Call::Listen { which, backlog }),
        4 => which().prop_map(|which| Call::Accept { which }),
        6 => (which(), port()).prop_map(|(which, port)| Call::Connect { which, port }),
        4 => (which(), 0..200_usize).prop_map(|(which, length)| Call::Push { which, length }),
        4 => which().prop_map(|which| Call::Pop { which }),
        2 => which().prop_map(|which| Call::PeerName { which }),
        2 => which().prop_map(|which| Call::Close { which }),
        6 => (which(), millis()).prop_map(|(which, millis)| Call::Wait { which, millis }),
        2 => (which(), 1..5_usize, millis()).prop_map(|(first, count, millis)| Call::WaitAny { first, count, millis }),
        4 => (1..5_usize, millis()).prop_map(|(most, millis)| Call::WaitNext { most, millis }),
    ];
    prop::collection::vec(call, 1..200)
}

/// The state of a socket (`doc/libos-internals.md`, "States").
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Fresh,
    Bound,
    Listening,
    /// Connecting, connected or refused: nobody has looked at the result yet. What it was before the call.
    Connecting {
        bound: bool,
    },
    Connected,
}

#[derive(Clone, Debug)]
struct Socket {
    state: State,
    port: Option<u16>,
    /// Whom it is connected to.
    peer: Option<u16>,
    /// The operation that connects it.
    connect: Option<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Accept,
    Connect,
    Push,
    Pop,
}

/// An engine, and what is known about it.
struct Bench {
    engine: Engine<Null, Vec<u8>>,
    /// By descriptor; closed ones are gone.
    sockets: HashMap<i32, Socket>,
    /// All descriptors that ever were, in order.
    known: Vec<i32>,
    /// Operations whose results were not taken.
    started: Vec<(Token, i32, Kind)>,
    /// Those whose queue was closed since.
    orphans: Vec<Token>,
    taken: Vec<Token>,
}

fn at(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

impl Bench {
    fn new() -> Bench {
        Bench {
            engine: Engine::open(&Config::default()).unwrap(),
            sockets: HashMap::new(),
            known: Vec::new(),
            started: Vec::new(),
            orphans: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// One of the descriptors that ever were, and its socket if it is open. A closed one may be somebody's again, who was accepted
    /// and whose result nobody has taken: then one that never was.
    fn pick(&self, which: usize) -> (i32, Option<Socket>) {
        let Some(place) = which.checked_rem(self.known.len()) else { return (777, None) };
        let qd = self.known[place];
        match self.sockets.get(&qd) {
            Some(socket) => (qd, Some(socket.clone())),
            None if self.started.iter().any(|&(.., kind)| kind == Kind::Accept) => (777, None),
            None => (qd, None),
        }
    }

    fn is_taken(&self, port: u16) -> bool {
        self.sockets.values().any(|socket| socket.port == Some(port))
    }

    fn listens(&self, port: u16) -> bool {
        self.sockets.values().any(|socket| socket.port == Some(port) && socket.state == State::Listening)
    }

    fn start(&mut self, qd: i32, kind: Kind, got: Result<Token, Errno>, expected: Result<(), Errno>) -> bool {
        assert_eq!(got.map(|_| ()), expected, "{kind:?} on {qd}: {:?}", self.sockets.get(&qd));
        let Ok(token) = got else { return false };
        assert!(!self.taken.contains(&token) && self.started.iter().all(|&(other, ..)| other != token));
        self.started.push((token, qd, kind));
        true
    }

    fn run(&mut self, call: &Call) {
        match *call {
            Call::Socket => {
                let qd = self.engine.socket(SocketKind::Stream).unwrap();
                assert!(!self.sockets.contains_key(&qd), "a descriptor that is in use");
                self.known.retain(|&other| other != qd);
                self.known.push(qd);
                self.sockets.insert(qd, Socket { state: State::Fresh, port: None, peer: None, connect: None });
                assert_eq!(self.engine.socket(SocketKind::Datagram), Err(Errno::ENOTSUP));
            }
            Call::Bind { which, port } => {
                let (qd, socket) = self.pick(which);
                let got = self.engine.bind(qd, at(port));
                let expected = match socket.map(|socket| socket.state) {
                    None => Err(Errno::EBADF),
                    Some(State::Fresh) if port != 0 && self.is_taken(port) => Err(Errno::EADDRINUSE),
                    Some(State::Fresh) => Ok(()),
                    // What was refused is what it was before.
                    Some(State::Connecting { bound: false }) if got != Err(Errno::EINVAL) => {
                        let socket = self.sockets.get_mut(&qd).unwrap();
                        (socket.state, socket.connect) = (State::Fresh, None);
                        got
                    }
                    Some(_) => Err(Errno::EINVAL),
                };
                assert_eq!(got, expected);
                if got.is_ok() {
                    let socket = self.sockets.get_mut(&qd).unwrap();
                    (socket.state, socket.port) = (State::Bound, (port != 0).then_some(port));
                }
            }
            Call::Listen { which, backlog } => {
                let (qd, socket) = self.pick(which);
                let got = self.engine.listen(qd, backlog);
                let allowed: &[_] = match socket.map(|socket| socket.state) {
                    None => &[Err(Errno::EBADF)],
                    Some(State::Fresh) => &[Err(Errno::EDESTADDRREQ)],
                    Some(State::Bound) => &[Ok(())],
                    Some(State::Listening) => &[Err(Errno::EADDRINUSE)],
                    Some(State::Connected) => &[Err(Errno::EISCONN)],
                    Some(State::Connecting { bound: true }) => &[Err(Errno::EADDRINUSE), Err(Errno::EISCONN), Ok(())],
                    Some(State::Connecting { bound: false }) => {
                        &[Err(Errno::EADDRINUSE), Err(Errno::EISCONN), Err(Errno::EDESTADDRREQ)]
                    }
                };
                assert!(allowed.contains(&got), "{got:?} is none of {allowed:?}");
                if got.is_ok() {
                    let socket = self.sockets.get_mut(&qd).unwrap();
                    (socket.state, socket.connect) = (State::Listening, None);
                }
            }
            Call::Accept { which } => {
                let (qd, socket) = self.pick(which);
                let expected = match socket.map(|socket| socket.state) {
                    None => Err(Errno::EBADF),
                    Some(State::Listening) => Ok(()),
                    Some(_) => Err(Errno::EINVAL),
                };
                let got = self.engine.accept(qd);
                self.start(qd, Kind::Accept, got, expected);
            }
            Call::Connect { which, port } => {
                let (qd, socket) = self.pick(which);
                let got = self.engine.connect(qd, at(port));
                let expected = match socket.as_ref().map(|socket| socket.state) {
                    None => Err(Errno::EBADF),
                    Some(State::Fresh | State::Bound) => Ok(()),
                    Some(State::Listening) => Err(Errno::EOPNOTSUPP),
                    Some(State::Connected) => Err(Errno::EISCONN),
                    Some(State::Connecting { .. }) => match got {
                        Err(errno) => Err([Errno::EISCONN, Errno::EINPROGRESS][usize::from(errno != Errno::EISCONN)]),
                        Ok(_) => Ok(()),
                    },
                };
                if self.start(qd, Kind::Connect, got, expected) {
                    let listens = self.listens(port);
                    let socket = self.sockets.get_mut(&qd).unwrap();
                    // One that was connecting was refused before.
                    let bound = matches!(socket.state, State::Bound | State::Connecting { bound: true });
                    socket.state = match (listens, bound) {
                        (true, _) => State::Connecting { bound },
                        (false, true) => State::Bound,
                        (false, false) => State::Fresh,
                    };
                    (socket.peer, socket.connect) = (Some(port), got.ok().filter(|_| listens));
                }
            }
            Call::Push { which, length } => {
                let (qd, socket) = self.pick(which);
                let got = self.engine.push(qd, vec![7; length], None);
                let expected = match socket.map(|socket| socket.state) {
                    None => Err(Errno::EBADF),
                    Some(_) if length == 0 => Err(Errno::EINVAL),
                    Some(State::Connected) => Ok(()),
                    Some(State::Connecting { .. }) if got.is_ok() => Ok(()),
                    Some(_) => Err(Errno::ENOTCONN),
                };
                self.start(qd, Kind::Push, got, expected);
            }
            Call::Pop { which } => {
                let (qd, socket) = self.pick(which);
                let got = self.engine.pop(qd);
                let expected = match socket.map(|socket| socket.state) {
                    None => Err(Errno::EBADF),
                    Some(State::Connected) => Ok(()),
                    Some(State::Connecting { .. }) if got.is_ok() => Ok(()),
                    Some(_) => Err(Errno::ENOTCONN),
                };
                self.start(qd, Kind::Pop, got, expected);
            }
            Call::PeerName { which } => {
                let (qd, socket) = self.pick(which);
                let got = self.engine.peer_name(qd).map(|peer| peer.port());
                match socket {
                    None => assert_eq!(got, Err(Errno::EBADF)),
                    Some(Socket { state: State::Connected, peer: Some(peer), .. }) => assert_eq!(got, Ok(peer)),
                    Some(Socket { state: State::Connecting { .. }, peer: Some(peer), .. }) => {
                        assert!(got == Ok(peer) || got == Err(Errno::ENOTCONN));
                    }
                    Some(_) => assert_eq!(got, Err(Errno::ENOTCONN)),
                }
            }
            Call::Close { which } => {
                let (qd, socket) = self.pick(which);
                assert_eq!(self.engine.close(qd), if socket.is_some() { Ok(()) } else { Err(Errno::EBADF) });
                if socket.is_some() {
                    self.sockets.remove(&qd);
                    let pending = self.started.iter().filter(|&&(_, of, _)| of == qd).map(|&(token, ..)| token);
                    self.orphans.extend(pending);
                }
            }
            Call::Wait { which, millis } => {
                let Some(token) = self.token(which) else {
                    assert_eq!(self.engine.wait(Token::from_number(1 << 40), None).unwrap_err(), Errno::EINVAL);
                    return;
                };
                let since = Instant::now();
                match self.engine.wait(token, Some(Duration::from_millis(millis))) {
                    Ok(done) => self.take(done),
                    Err(errno) => self.late(errno, &[token], since, millis),
                }
                if let Some(&token) = self.taken.last() {
                    assert_eq!(self.engine.wait(token, None).unwrap_err(), Errno::EINVAL, "its result was taken");
                }
            }
            Call::WaitAny { first, count, millis } => {
                let tokens: Vec<Token> = (0..count).filter_map(|place| self.token(first.wrapping_add(place))).collect();
                let since = Instant::now();
                match self.engine.wait_any(&tokens, Some(Duration::from_millis(millis))) {
                    Ok((place, done)) => {
                        assert_eq!(done.token, tokens[place]);
                        self.take(done);
                    }
                    Err(Errno::EINVAL) => assert!(tokens.is_empty()),
                    Err(errno) => self.late(errno, &tokens, since, millis),
                }
            }
            Call::WaitNext { most, millis } => {
                let since = Instant::now();
                let mut results = Vec::new();
                match self.engine.wait_next_n(most, Some(Duration::from_millis(millis)), |done| results.push(done)) {
                    Ok(count) => assert!(count == results.len() && (1..=most).contains(&count)),
                    Err(errno) => {
                        let all: Vec<Token> = self.started.iter().map(|&(token, ..)| token).collect();
                        self.late(errno, &all, since, millis);
                    }
                }
                results.into_iter().for_each(|done| self.take(done));
            }
        }
    }

    fn token(&self, which: usize) -> Option<Token> {
        which.checked_rem(self.started.len()).map(|place| self.started[place].0)
    }

    /// A wait that ended without a result: not too early, and not although there was one.
    fn late(&self, errno: Errno, tokens: &[Token], since: Instant, millis: u64) {
        assert_eq!(errno, Errno::ETIMEDOUT);
        assert!(since.elapsed() >= Duration::from_millis(millis));
        assert!(!tokens.iter().any(|token| self.orphans.contains(token)), "what is cancelled is done");
    }

    fn take(&mut self, done: Completion) {
        let place = self.started.iter().position(|&(token, ..)| token == done.token).expect("a token that was started");
        let (token, qd, kind) = self.started.remove(place);
        assert_eq!(done.qd, qd);
        self.taken.push(token);
        let orphan = self.orphans.contains(&token);
        match (kind, done.outcome) {
            (Kind::Accept, Outcome::Accepted(new, peer)) => {
                assert!(!self.sockets.contains_key(&new), "a descriptor that is in use");
                self.known.retain(|&other| other != new);
                self.known.push(new);
                let peer = Some(peer.port());
                self.sockets.insert(new, Socket { state: State::Connected, port: None, peer, connect: None });
            }
            (Kind::Connect, Outcome::Connected) => self.settle(qd, token, State::Connected),
            (Kind::Connect, Outcome::Failed(Errno::ECONNREFUSED)) => {
                let before = match self.sockets.get(&qd).map(|socket| socket.state) {
                    Some(State::Connecting { bound: true }) => State::Bound,
                    _ => State::Fresh,
                };
                self.settle(qd, token, before);
            }
            (Kind::Push, Outcome::Pushed) => {}
            (Kind::Push, Outcome::Failed(Errno::EPIPE)) => {}
            (Kind::Pop, Outcome::Popped(buffer, None)) => self.engine.pool().give(buffer),
            (_, Outcome::Failed(Errno::ECANCELED)) => assert!(orphan, "cancelled without a close"),
            (kind, outcome) => panic!("{kind:?} came to {outcome:?}"),
        }
    }

    /// The result of a connect is known.
    fn settle(&mut self, qd: i32, token: Token, state: State) {
        // The descriptor may be another socket's by now; and one that was refused at once was not connecting.
        if let Some(socket) = self.sockets.get_mut(&qd).filter(|socket| socket.connect == Some(token)) {
            (socket.state, socket.connect) = (state, None);
        }
    }

    /// In the end everything that was started can be taken, after all is closed.
    fn finish(mut self) {
        for which in 0..self.known.len() {
            self.run(&Call::Close { which });
        }
        while !self.started.is_empty() {
            let before = self.started.len();
            self.run(&Call::WaitNext { most: 3, millis: 0 });
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
    fn each_call_answers_what_the_state_of_its_socket_says(calls in calls()) {
        let mut bench = Bench::new();
        for call in &calls {
            bench.run(call);
        }
        bench.finish();
    }
}
