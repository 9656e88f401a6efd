// SPDX-License-Identifier: MIT
//! A panic never crosses the ABI: it becomes an errno and a log line, and the process lives.

use std::ffi::{c_char, c_int};
use std::net::SocketAddrV4;
use std::ptr::null;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Instant;

use abi::layout::{Args, QResult};
use queue::{Buffer, Config, Errno, IoPath, OptionName, SocketKind, SocketOption};

/// Panics in whatever it is asked for, but for what is needed to get there.
struct Panicking;

impl IoPath for Panicking {
    type Queue = ();

    fn open(_: &Config) -> Result<Panicking, Errno> {
        Ok(Panicking)
    }
    fn socket(&mut self, kind: SocketKind) -> Result<(), Errno> {
        assert_eq!(kind, SocketKind::Datagram, "a stream was asked for");
        Ok(())
    }
    fn bind(&mut self, _: &mut (), local: SocketAddrV4) -> Result<(), Errno> {
        log::warn!("bound to {local}");
        Ok(())
    }
    fn listen(&mut self, _: &mut (), _: u32) -> Result<(), Errno> {
        todo!()
    }
    fn connect(&mut self, _: &mut (), _: SocketAddrV4) -> Result<(), Errno> {
        std::panic::panic_any(7)
    }
    fn poll_connect(&mut self, _: &mut ()) -> Poll<Result<(), Errno>> {
        todo!()
    }
    fn poll_accept(&mut self, _: &mut ()) -> Poll<Result<((), SocketAddrV4), Errno>> {
        todo!()
    }
    fn poll_push(&mut self, _: &mut (), _: &[u8], _: &mut usize, _: Option<SocketAddrV4>) -> Poll<Result<(), Errno>> {
        todo!()
    }
    fn poll_pop(&mut self, _: &mut (), into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        into.advance(usize::MAX);
        Poll::Pending
    }
    fn poll_close(&mut self, _: &mut ()) -> Poll<Result<(), Errno>> {
        panic!("the close is broken")
    }
    fn set_option(&mut self, _: &mut (), _: SocketOption) -> Result<(), Errno> {
        todo!()
    }
    fn option(&mut self, _: &mut (), _: OptionName) -> Result<SocketOption, Errno> {
        todo!()
    }
    fn peer_name(&mut self, _: &mut ()) -> Result<SocketAddrV4, Errno> {
        todo!()
    }
    fn poll_io(&mut self, _: Instant) -> bool {
        panic!("the poll is broken")
    }
    fn idle(&mut self, _: Instant, _: Option<Instant>) {}
}

abi::export_libos!(Panicking, "panicking");

/// Level, what a call from within the callback gave, text.
static LINES: Mutex<Vec<(c_int, c_int, String)>> = Mutex::new(Vec::new());

extern "C" fn log_line(
    level: c_int,
    _: *const c_char,
    _: u32,
    _: *const c_char,
    _: u32,
    _: u32,
    text: *const c_char,
    len: u32,
) {
    // SAFETY: the ABI promises a string of that length.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len as usize) };
    // A panic here would end the process, so what a call from within a call gives is looked at later.
    let within = demi_close(0);
    LINES.lock().unwrap().push((level, within, String::from_utf8_lossy(bytes).into_owned()));
}

#[test]
fn a_panic_is_an_errno_and_a_line_of_the_log() {
    std::panic::set_hook(Box::new(|_| ()));
    let address = abi::layout::SockAddrIn::from(SocketAddrV4::new([127, 0, 0, 1].into(), 1));
    let args = Args { argc: 0, argv: null(), log_callback: Some(log_line) };
    let eio = Errno::EIO.number();
    let (mut qd, mut token) = (0, 0);
    // SAFETY: places of this function.
    unsafe {
        assert_eq!(demi_init(&args), 0);
        assert_eq!(demi_socket(&mut qd, libc::AF_INET, libc::SOCK_STREAM, 0), eio);
        assert_eq!(qd, 0, "nothing is written on failure");
        assert_eq!(demi_socket(&mut qd, libc::AF_INET, libc::SOCK_DGRAM, 0), 0);
        assert_eq!(demi_connect(&mut token, qd, (&raw const address).cast(), 16), eio);
        assert_eq!(demi_bind(qd, (&raw const address).cast(), 16), 0);
        assert_eq!(demi_pop(&mut token, qd), eio);
        assert_eq!(token, 0);
        let mut result: QResult = std::mem::zeroed();
        let mut count = 0;
        let moment = libc::timespec { tv_sec: 0, tv_nsec: 1 };
        assert_eq!(demi_wait_next_n(&mut result, 1, &mut count, null()), Errno::EINVAL.number(), "the pop is gone");
        assert_eq!(demi_wait_next_n(&mut result, 1, &mut count, &moment), eio);
        assert_eq!(demi_close(qd), eio);
        assert_eq!(demi_close(qd), Errno::EBADF.number());
    }
    let lines = LINES.lock().unwrap();
    let said = |text: &str| lines.iter().any(|(level, _, line)| *level == 1 && line.starts_with(text));
    for text in [
        "panic in demi_socket: assertion `left == right` failed: a stream was asked for",
        "panic in demi_connect: no words",
        "panic in demi_pop: advance by 18446744073709551615 bytes",
        "panic in demi_wait_next_n: the poll is broken",
        "panic in demi_close: the close is broken",
    ] {
        assert!(said(text), "{text} is not in {lines:?}");
    }
    let inner =
        |text: &str| lines.iter().find(|(.., line)| line.starts_with(text)).map(|(level, within, _)| (*level, *within));
    assert_eq!(inner("bound to 127.0.0.1:1"), Some((2, Errno::EDEADLK.number())), "in the midst of a call");
    assert_eq!(inner("panic in demi_pop"), Some((1, Errno::EBADF.number())), "the call is over");
}

#[test]
fn a_panic_at_the_end_of_a_thread_ends_no_process() {
    let thread = std::thread::spawn(|| {
        let args = Args { argc: 0, argv: null(), log_callback: None };
        let mut qd = 0;
        // SAFETY: places of this function.
        unsafe {
            assert_eq!(demi_init(&args), 0);
            assert_eq!(demi_socket(&mut qd, libc::AF_INET, libc::SOCK_DGRAM, 0), 0);
        }
    });
    assert!(thread.join().is_ok());
}
