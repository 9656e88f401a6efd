// SPDX-License-Identifier: MIT
//! What C may get wrong: null pointers, lengths, foreign arrays, calls before `demi_init`. Nothing is written on failure.

use std::ptr::{null, null_mut};

use abi::layout::{Args, QResult, SgArray, SockAddrIn};
use abi::Timespec;
use libc::{
    AF_INET, AF_INET6, EEXIST, EINVAL, ENOENT, ENOPROTOOPT, ENOSYS, ENOTSUP, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET,
};
use null::Null;

abi::export_libos!(Null, "null");

const ARGS: Args = Args { argc: 0, argv: null(), log_callback: None };
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
const UNTOUCHED: i32 = -77;

fn result() -> QResult {
    // SAFETY: a plain structure of C.
    unsafe { std::mem::zeroed() }
}

/// A pipe's ends, of a fresh engine.
fn pipe() -> (i32, i32) {
    let (mut left, mut right) = (0, 0);
    // SAFETY: places of this function; names end in null bytes.
    unsafe {
        assert_eq!(demi_init(&ARGS), 0);
        assert_eq!(demi_create_pipe(&mut left, c"pipe".as_ptr()), 0);
        assert_eq!(demi_open_pipe(&mut right, c"pipe".as_ptr()), 0);
    }
    (left, right)
}

#[test]
fn before_init_everything_is_refused() {
    let mut qd = UNTOUCHED;
    // SAFETY: places of this function.
    unsafe {
        assert_eq!(demi_socket(&mut qd, AF_INET, SOCK_STREAM, 0), ENOSYS);
        assert_eq!(demi_wait(&mut result(), 1, null()), ENOSYS);
        assert_eq!(demi_sgafree(&mut SgArray::NONE.clone()), ENOSYS);
        assert_eq!((demi_close(1), demi_listen(1, 1), { demi_sgaalloc(64).numsegs }), (ENOSYS, ENOSYS, 0));
        assert_eq!(demi_init(null()), EINVAL);
        assert_eq!((demi_init(&ARGS), demi_init(&ARGS)), (0, EEXIST));
    }
    assert_eq!(qd, UNTOUCHED);
}

#[test]
fn null_pointers_are_refused() {
    let (left, _) = pipe();
    let mut token = 0;
    let array = demi_sgaalloc(8);
    let address = SockAddrIn::from(std::net::SocketAddrV4::new([10, 0, 0, 1].into(), 1));
    let place = (&raw const address).cast();
    // SAFETY: places of this function, or null.
    unsafe {
        assert_eq!(demi_socket(null_mut(), AF_INET, SOCK_STREAM, 0), EINVAL);
        assert_eq!(demi_bind(left, null(), 16), EINVAL);
        assert_eq!(demi_accept(null_mut(), left), EINVAL);
        assert_eq!((demi_connect(null_mut(), left, place, 16), demi_connect(&mut token, left, null(), 16)), (22, 22));
        assert_eq!((demi_push(null_mut(), left, &array), demi_push(&mut token, left, null())), (EINVAL, EINVAL));
        assert_eq!(demi_pushto(null_mut(), left, &array, place, 16), EINVAL);
        assert_eq!(demi_pushto(&mut token, left, null(), place, 16), EINVAL);
        assert_eq!(demi_pushto(&mut token, left, &array, null(), 16), EINVAL);
        assert_eq!(demi_pop(null_mut(), left), EINVAL);
        assert_eq!(demi_setsockopt(left, SOL_SOCKET, libc::SO_KEEPALIVE, null(), 4), EINVAL);
        assert_eq!(demi_getsockopt(left, SOL_SOCKET, libc::SO_KEEPALIVE, null_mut(), null_mut()), EINVAL);
        assert_eq!(demi_getpeername(left, null_mut(), null_mut()), EINVAL);
        assert_eq!(demi_sgafree(null_mut()), EINVAL);
        assert_eq!(demi_wait(null_mut(), 1, null()), EINVAL);
        assert_eq!(demi_wait_any(&mut result(), null_mut(), &1, 1, &NOW), EINVAL);
        assert_eq!(demi_wait_any(&mut result(), &mut 0, null(), 1, &NOW), EINVAL);
        assert_eq!(demi_wait_next_n(null_mut(), 1, &mut 0, &NOW), EINVAL);
        assert_eq!(demi_wait_next_n(&mut result(), 1, null_mut(), &NOW), EINVAL);
        assert_eq!((demi_create_pipe(null_mut(), c"x".as_ptr()), demi_create_pipe(&mut 0, null())), (EINVAL, EINVAL));
        assert_eq!((demi_open_pipe(null_mut(), c"x".as_ptr()), demi_open_pipe(&mut 0, null())), (EINVAL, EINVAL));
    }
    assert_eq!(token, 0);
}

#[test]
fn wrong_values_are_refused() {
    let (left, _) = pipe();
    let mut qd = UNTOUCHED;
    let mut token = 0;
    let mut address = SockAddrIn::from(std::net::SocketAddrV4::new([10, 0, 0, 1].into(), 1));
    let mut place = (&raw mut address).cast();
    let mut length = 15;
    // SAFETY: places of this function; a length that is too short is what is tested.
    unsafe {
        for (domain, kind, protocol) in [
            (AF_INET6, SOCK_STREAM, 0),
            (AF_INET, libc::SOCK_RAW, 0),
            (AF_INET, SOCK_DGRAM, libc::IPPROTO_TCP),
            (0, 0, 0),
        ] {
            assert_eq!(demi_socket(&mut qd, domain, kind, protocol), ENOTSUP);
        }
        assert_eq!(demi_bind(left, place, 15), EINVAL);
        assert_eq!(demi_getpeername(left, place, &mut length), EINVAL);
        address.family = AF_INET6 as u16;
        place = (&raw mut address).cast();
        assert_eq!(demi_bind(left, place, 28), ENOTSUP);
        assert_eq!(demi_listen(left, -1), EINVAL);
        assert_eq!(demi_setsockopt(left, SOL_SOCKET, libc::SO_RCVBUF, place, 4), ENOPROTOOPT);
        assert_eq!(demi_setsockopt(left, SOL_SOCKET, libc::SO_LINGER, place, 7), EINVAL);
        assert_eq!(demi_setsockopt(left, libc::IPPROTO_TCP, libc::TCP_NODELAY, place, 3), EINVAL);
        for bad in [Timespec { tv_sec: -1, tv_nsec: 0 }, Timespec { tv_sec: 0, tv_nsec: 1_000_000_000 }] {
            assert_eq!(demi_wait(&mut result(), 1, &bad), EINVAL);
        }
        for unknown in [0, 1, u64::MAX] {
            assert_eq!(demi_wait(&mut result(), unknown, &NOW), EINVAL);
        }
        for count in [0, -1, i32::MIN] {
            assert_eq!(demi_wait_any(&mut result(), &mut qd, &1, count, &NOW), EINVAL);
            assert_eq!(demi_wait_next_n(&mut result(), count, &mut qd, &NOW), EINVAL);
        }
        assert_eq!(demi_create_pipe(&mut qd, c"".as_ptr()), EINVAL);
        assert_eq!(demi_create_pipe(&mut qd, c"\xff".as_ptr()), EINVAL);
        assert_eq!(demi_open_pipe(&mut qd, c"absent".as_ptr()), ENOENT);
        assert_eq!(demi_pop(&mut token, 0), libc::EBADF);
    }
    assert_eq!((qd, token, length), (UNTOUCHED, 0, 15));
}

#[test]
fn arrays_are_checked() {
    let (left, right) = pipe();
    let mut token = 0;
    assert_eq!({ demi_sgaalloc(0).numsegs }, 0);
    assert_eq!({ demi_sgaalloc(usize::MAX).numsegs }, 0);
    let mut array = demi_sgaalloc(5000);
    assert_eq!({ array.segs[0].len }, 5000);
    let mut none = array;
    none.segs[0].len = 0;
    let mut long = array;
    long.segs[0].len = 5001;
    let mut own = SgArray { buf: null_mut(), ..array };
    // SAFETY: places of this function; the array's memory is its own.
    unsafe {
        assert_eq!((demi_push(&mut token, left, &none), demi_push(&mut token, left, &long)), (EINVAL, EINVAL));
        assert_eq!(demi_sgafree(&mut own), EINVAL, "the program's own memory");
        assert_eq!(token, 0);
        assert_eq!(demi_push(&mut token, left, &own), 0);
        assert_eq!(demi_wait(&mut result(), token, null()), 0);
        assert_eq!((demi_sgafree(&mut array), demi_sgafree(&mut array)), (0, EINVAL));
        assert_eq!(demi_push(&mut token, left, &array), EINVAL, "freed");
        let mut popped = result();
        assert_eq!(demi_pop(&mut token, right), 0);
        assert_eq!(demi_wait(&mut popped, token, null()), 0);
        assert_eq!({ popped.value.sga.segs[0].len }, 5000);
    }
    // Another thread has arrays and descriptors of its own.
    let mut ours = demi_sgaalloc(8);
    let number = ours.buf as usize;
    std::thread::spawn(move || {
        let mut foreign = SgArray { buf: number as *mut _, ..SgArray::NONE };
        // SAFETY: places of this thread.
        unsafe {
            assert_eq!(demi_init(&ARGS), 0);
            assert_eq!(demi_sgafree(&mut foreign), EINVAL);
            assert_eq!(demi_pop(&mut 0, left), libc::EBADF);
        }
    })
    .join()
    .unwrap();
    // SAFETY: a place of this function.
    assert_eq!(unsafe { demi_sgafree(&mut ours) }, 0);
}
