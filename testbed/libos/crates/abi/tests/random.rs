// SPDX-License-Identifier: MIT
//! Any calls with any arguments: no crash, no hang, only errnos that the call may give, nothing written on failure, and
//! every array can be freed once and only once. Which errno it must be is the matter of `crates/queue/tests/states.rs`.
//!
//! `TESTBED_FUZZ_CASES` and `TESTBED_FUZZ_SEED` make a longer or another run; the seeds of failures are kept beside this file.

#![allow(unsafe_op_in_unsafe_fn)] // one reason holds for the whole function: `Program::run`

use std::ptr::{null, null_mut};

use abi::layout::{Args, QResult, Segment, SgArray, SockAddrIn};
use abi::Timespec;
use libc::{
    EADDRINUSE, EBADF, ECANCELED, ECONNREFUSED, EDESTADDRREQ, EEXIST, EINPROGRESS, EINVAL, EISCONN, ENOENT,
    ENOPROTOOPT, ENOTCONN, ENOTSOCK, ENOTSUP, EPIPE, ETIMEDOUT,
};
use null::Null;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};

abi::export_libos!(Null, "null");

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
const UNTOUCHED: u64 = 0xdead_beef_dead_beef;

/// A number that picks one of what there is, or, sometimes, is taken as it is.
#[derive(Clone, Debug)]
struct Pick {
    number: u64,
    raw: bool,
}

impl Pick {
    fn of<T: Copy>(&self, known: &[T], raw: impl FnOnce(u64) -> T) -> T {
        match usize::try_from(self.number).unwrap_or(usize::MAX).checked_rem(known.len()) {
            Some(place) if !self.raw => known[place],
            _ => raw(self.number),
        }
    }
}

#[derive(Clone, Debug)]
enum Call {
    Socket(i32, i32, i32),
    Bind(Pick, Vec<u8>),
    Listen(Pick, i32),
    Accept(Pick),
    Connect(Pick, Vec<u8>),
    Close(Pick),
    Push(Pick, Pick, i32, u32),
    PushTo(Pick, Pick, Vec<u8>),
    Pop(Pick),
    Option(Pick, i32, i32, u32),
    PeerName(Pick, u32),
    Alloc(usize),
    Free(Pick),
    Wait(Pick),
    WaitAny(Vec<Pick>, i32),
    WaitNext(i32),
    CreatePipe(u8),
    OpenPipe(u8),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let pick = || (any::<u64>(), prop::bool::weighted(0.05)).prop_map(|(number, raw)| Pick { number, raw });
    // Few ports, so that they meet.
    let address = (0..4_u8).prop_map(|port| vec![2, 0, 0, port, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let bytes = || prop_oneof![3 => address.clone(), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    let kinds = prop_oneof![3 => Just((2, 1, 0)), 1 => (0..12, 0..12, 0..20)];
    let size =
        prop_oneof![8 => 0..3000_usize, 2 => 0..200_000_usize, 1 => any::<usize>().prop_map(|size| size | 1 << 40)];
    let skew = || prop_oneof![4 => Just(0), 1 => -2..3_i32];
    let call = prop_oneof![
        3 => kinds.prop_map(|(domain, kind, protocol)| Call::Socket(domain, kind, protocol)),
        3 => (pick(), bytes()).prop_map(|(qd, bytes)| Call::Bind(qd, bytes)),
        3 => (pick(), any::<i32>()).prop_map(|(qd, backlog)| Call::Listen(qd, backlog)),
        3 => pick().prop_map(Call::Accept),
        4 => (pick(), bytes()).prop_map(|(qd, bytes)| Call::Connect(qd, bytes)),
        2 => pick().prop_map(Call::Close),
        12 => (pick(), pick(), skew(), 0..3000_u32).prop_map(|(qd, sga, skew, len)| Call::Push(qd, sga, skew, len)),
        1 => (pick(), pick(), bytes()).prop_map(|(qd, sga, bytes)| Call::PushTo(qd, sga, bytes)),
        10 => pick().prop_map(Call::Pop),
        1 => (pick(), 0..8, 0..16, 0..10_u32).prop_map(|(qd, level, name, len)| Call::Option(qd, level, name, len)),
        1 => (pick(), 0..20_u32).prop_map(|(qd, len)| Call::PeerName(qd, len)),
        6 => size.prop_map(Call::Alloc),
        5 => pick().prop_map(Call::Free),
        8 => pick().prop_map(Call::Wait),
        3 => (prop::collection::vec(pick(), 1..5), -1..6).prop_map(|(tokens, count)| Call::WaitAny(tokens, count)),
        3 => (-1..5).prop_map(Call::WaitNext),
        3 => (0..4_u8).prop_map(Call::CreatePipe),
        3 => (0..4_u8).prop_map(Call::OpenPipe),
    ];
    prop::collection::vec(call, 1..150)
}

/// What a program knows.
#[derive(Default)]
struct Program {
    qds: Vec<i32>,
    tokens: Vec<u64>,
    arrays: Vec<SgArray>,
    /// Closed by a number that nobody had told: of connections whose accept was not waited for yet.
    blind: Vec<i32>,
}

impl Program {
    fn check(&self, got: i32, out: u64, written: bool, allowed: &[i32]) -> bool {
        assert!(got == 0 || allowed.contains(&got), "errno {got} is not one of {allowed:?}");
        assert_eq!(got == 0, written || out != UNTOUCHED, "an out-parameter is written on success and only then");
        got == 0
    }

    fn started(&mut self, got: i32, token: u64, allowed: &[i32]) {
        if self.check(got, token, false, allowed) {
            assert!(!self.tokens.contains(&token));
            self.tokens.push(token);
        }
    }

    fn opened(&mut self, got: i32, qd: i32, allowed: &[i32]) {
        assert!(got == 0 || allowed.contains(&got), "errno {got} is not one of {allowed:?}");
        assert_eq!(got == 0, qd != -77);
        if got == 0 {
            self.qds.push(qd);
        }
    }

    fn finished(&mut self, result: &QResult) {
        let (token, opcode, ret) = (result.qt, result.opcode, result.ret);
        assert!(self.tokens.contains(&token));
        self.tokens.retain(|&other| other != token);
        match opcode {
            abi::layout::OPC_PUSH => assert_eq!(ret, 0),
            // SAFETY: the opcode says which it is.
            abi::layout::OPC_POP => self.arrays.push(unsafe { result.value.sga }),
            abi::layout::OPC_CONNECT => assert_eq!(ret, 0),
            abi::layout::OPC_ACCEPT => {
                // SAFETY: the opcode says which it is.
                let qd = unsafe { result.value.accepted.qd };
                match self.blind.iter().position(|&other| other == qd) {
                    Some(place) => drop(self.blind.swap_remove(place)),
                    None => self.qds.push(qd),
                }
            }
            abi::layout::OPC_FAILED => {
                assert!([ECANCELED, EPIPE, ECONNREFUSED].map(i64::from).contains(&ret), "errno {ret}");
            }
            other => panic!("opcode {other}"),
        }
    }

    fn array(&self, which: &Pick) -> SgArray {
        which.of(&self.arrays, |number| SgArray { buf: number as *mut _, ..SgArray::NONE })
    }

    fn run(&mut self, call: &Call) {
        // SAFETY: all places are of this function, and as long as the call is told.
        unsafe { self.run_c(call) }
    }

    unsafe fn run_c(&mut self, call: &Call) {
        let (mut qd, mut token) = (-77, UNTOUCHED);
        let raw_qd = |number| number as i32;
        let name = |number: &u8| [[b'p', b'0' + number, 0], [0, 0, 0]][usize::from(*number == 3)];
        match call {
            Call::Socket(domain, kind, protocol) => {
                let got = demi_socket(&mut qd, *domain, *kind, *protocol);
                self.opened(got, qd, &[ENOTSUP]);
            }
            Call::Bind(which, bytes) => {
                let got = demi_bind(which.of(&self.qds, raw_qd), bytes.as_ptr().cast(), bytes.len() as u32);
                assert!([0, EINVAL, ENOTSUP, EBADF, ENOTSOCK, EADDRINUSE].contains(&got), "errno {got}");
            }
            Call::Listen(which, backlog) => {
                let got = demi_listen(which.of(&self.qds, raw_qd), *backlog);
                let allowed = [0, EINVAL, EBADF, ENOTSOCK, EDESTADDRREQ, EISCONN, EADDRINUSE];
                assert!(allowed.contains(&got), "errno {got}");
            }
            Call::Accept(which) => {
                let got = demi_accept(&mut token, which.of(&self.qds, raw_qd));
                self.started(got, token, &[EBADF, ENOTSOCK, EINVAL]);
            }
            Call::Connect(which, bytes) => {
                let at = which.of(&self.qds, raw_qd);
                let got = demi_connect(&mut token, at, bytes.as_ptr().cast(), bytes.len() as u32);
                self.started(got, token, &[EINVAL, ENOTSUP, EBADF, ENOTSOCK, EISCONN, EINPROGRESS]);
            }
            Call::Close(which) => {
                let at = which.of(&self.qds, raw_qd);
                let got = demi_close(at);
                if self.qds.contains(&at) {
                    assert_eq!(got, 0);
                    self.qds.retain(|&other| other != at);
                } else if got == 0 {
                    self.blind.push(at);
                } else {
                    assert_eq!(got, EBADF);
                }
            }
            Call::Push(which, array, skew, length) => {
                let mut array = self.array(array);
                if *skew != 0 {
                    let start = array.segs[0].buf.cast::<u8>().wrapping_offset(*skew as isize);
                    array.segs = [Segment { buf: start.cast(), len: *length }];
                }
                if array.buf.is_null() {
                    array.segs = [Segment { buf: null_mut(), len: *length }];
                }
                let got = demi_push(&mut token, which.of(&self.qds, raw_qd), &array);
                self.started(got, token, &[EINVAL, EBADF, ENOTCONN]);
            }
            Call::PushTo(which, array, bytes) => {
                let array = self.array(array);
                let at = which.of(&self.qds, raw_qd);
                let got = demi_pushto(&mut token, at, &array, bytes.as_ptr().cast(), bytes.len() as u32);
                self.started(got, token, &[EINVAL, ENOTSUP, EBADF, ENOTSOCK, EISCONN, ENOTCONN]);
            }
            Call::Pop(which) => {
                let got = demi_pop(&mut token, which.of(&self.qds, raw_qd));
                self.started(got, token, &[EBADF, ENOTCONN]);
            }
            Call::Option(which, level, name, length) => {
                let (at, mut value, mut len) = (which.of(&self.qds, raw_qd), [0_u8; 16], *length);
                for got in [
                    demi_setsockopt(at, *level, *name, value.as_ptr().cast(), len),
                    demi_getsockopt(at, *level, *name, value.as_mut_ptr().cast(), &mut len),
                ] {
                    assert!([EINVAL, ENOPROTOOPT, EBADF, ENOTSOCK].contains(&got), "errno {got}");
                }
                assert_eq!((value, len), ([0; 16], *length));
            }
            Call::PeerName(which, length) => {
                let (mut address, mut len) = (SockAddrIn::NONE, *length);
                let at = which.of(&self.qds, raw_qd);
                let got = demi_getpeername(at, (&raw mut address).cast(), &mut len);
                match got {
                    0 => assert!({ address.family } == 2 && len == 16 && *length >= 16),
                    got => assert!([EINVAL, EBADF, ENOTSOCK, ENOTCONN].contains(&got) && len == *length, "errno {got}"),
                }
            }
            Call::Alloc(size) => {
                let array = demi_sgaalloc(*size);
                let (count, length) = (array.numsegs, array.segs[0].len as usize);
                assert_eq!((count, length), if (1..200_000).contains(size) { (1, *size) } else { (0, 0) });
                if count == 1 {
                    // All of it can be written.
                    array.segs[0].buf.cast::<u8>().write_bytes(0xab, length);
                    self.arrays.push(array);
                }
            }
            Call::Free(which) => {
                let mut array = self.array(which);
                let number = array.buf as u64;
                let ours = self.arrays.iter().any(|other| other.buf as u64 == number);
                assert_eq!(demi_sgafree(&mut array), if ours { 0 } else { EINVAL });
                assert_eq!(demi_sgafree(&mut array), EINVAL, "freed twice");
                self.arrays.retain(|other| other.buf as u64 != number);
            }
            Call::Wait(which) => {
                let token = which.of(&self.tokens, |number| number);
                let mut result: QResult = std::mem::zeroed();
                match demi_wait(&mut result, token, &NOW) {
                    0 => self.finished(&result),
                    EINVAL => assert!(!self.tokens.contains(&token)),
                    got => assert_eq!(got, ETIMEDOUT),
                }
            }
            Call::WaitAny(which, count) => {
                let tokens: Vec<u64> = which.iter().map(|which| which.of(&self.tokens, |number| number)).collect();
                let count = (*count).min(tokens.len() as i32);
                let (mut result, mut offset): (QResult, i32) = (std::mem::zeroed(), -77);
                match demi_wait_any(&mut result, &mut offset, tokens.as_ptr(), count, &NOW) {
                    0 => {
                        assert_eq!({ result.qt }, tokens[offset as usize]);
                        self.finished(&result);
                    }
                    EINVAL => {
                        let asked = &tokens[..count.max(0) as usize];
                        assert!(count <= 0 || asked.iter().any(|token| !self.tokens.contains(token)));
                    }
                    got => assert_eq!((got, offset), (ETIMEDOUT, -77)),
                }
            }
            Call::WaitNext(most) => {
                let mut results: [QResult; 5] = std::mem::zeroed();
                let mut count = -77;
                match demi_wait_next_n(results.as_mut_ptr(), *most, &mut count, &NOW) {
                    0 => {
                        assert!((1..=*most).contains(&count));
                        results[..count as usize].iter().for_each(|result| self.finished(result));
                    }
                    EINVAL => assert!(*most <= 0),
                    got => assert_eq!((got, count), (ETIMEDOUT, -77)),
                }
            }
            Call::CreatePipe(number) => {
                let got = demi_create_pipe(&mut qd, name(number).as_ptr().cast());
                self.opened(got, qd, &[EINVAL, EEXIST]);
            }
            Call::OpenPipe(number) => {
                let got = demi_open_pipe(&mut qd, name(number).as_ptr().cast());
                self.opened(got, qd, &[EINVAL, ENOENT]);
            }
        }
    }

    /// Close and take everything: nothing may be left over.
    fn finish(mut self) {
        while let Some(&qd) = self.qds.first() {
            assert_eq!(demi_close(qd), 0);
            self.qds.remove(0);
        }
        while !self.tokens.is_empty() {
            let before = self.tokens.len();
            self.run(&Call::WaitNext(5));
            assert!(self.tokens.len() < before, "{before} operations are neither done nor cancelled");
        }
        for mut array in self.arrays {
            // SAFETY: a place of this function.
            assert_eq!(unsafe { demi_sgafree(&mut array) }, 0);
        }
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, no number")))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: number("TESTBED_FUZZ_CASES", 128).try_into().unwrap(),
        rng_seed: RngSeed::Fixed(number("TESTBED_FUZZ_SEED", 1)),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_calls_are_survived(calls in calls()) {
        // A thread of its own has an engine of its own.
        let done = std::thread::spawn(move || {
            let args = Args { argc: 0, argv: null(), log_callback: None };
            // SAFETY: a place of this function.
            assert_eq!(unsafe { demi_init(&args) }, 0);
            let mut program = Program::default();
            calls.iter().for_each(|call| program.run(call));
            program.finish();
        }).join();
        prop_assert!(done.is_ok());
    }
}
