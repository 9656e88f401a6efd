// SPDX-License-Identifier: MIT
//! The queue calls as a program uses them: buffers that free themselves, errors with their words.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::layout::{self, QResult, SgArray};
use crate::library::{self, Guarded, Library, TimeSpec};

/// What went wrong: the call, and its errno (0: the bytes were wrong, not the call).
#[derive(Debug)]
pub struct Failure {
    pub what: String,
    pub errno: i32,
    /// Of a wait that did not end in time: what had not completed then, oldest first.
    pub late: Option<Vec<Pending>>,
}

/// An operation that was started and has not completed.
#[derive(Debug, Serialize)]
pub struct Pending {
    /// Which of its engine's, from 1.
    pub number: u64,
    pub op: &'static str,
    pub qd: i32,
    /// How long ago it was started, at most: how long ago something completed before it was, other than a push.
    pub age_ns: u64,
}

impl Failure {
    pub fn wrong(what: impl Into<String>) -> Self {
        Self::of(what, 0)
    }

    pub fn of(what: impl Into<String>, errno: i32) -> Self {
        Self { what: what.into(), errno, late: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        if self.errno == 0 {
            return out.write_str(&self.what);
        }
        write!(out, "{}: {}", self.what, io::Error::from_raw_os_error(self.errno))
    }
}

pub type Result<T> = std::result::Result<T, Failure>;

/// A buffer that was popped; freed when it goes, unless it is pushed on.
pub struct Buffer {
    library: Library,
    array: SgArray,
}

impl Buffer {
    pub fn bytes(&self) -> &[u8] {
        library::bytes_of(&self.array)
    }

    /// Who sent it, of a datagram.
    pub fn sender(&self) -> Option<SocketAddrV4> {
        { self.array.address }.address()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.library.sgafree(Some(&mut self.array));
    }
}

/// An operation that completed.
pub enum Done {
    Pushed,
    Popped(Buffer),
    Accepted(i32),
    Connected,
    Failed(i32),
}

pub enum Transport {
    Tcp,
    Udp,
}

/// One engine of the library: of the thread that made it.
pub struct Engine {
    library: Library,
    started: u64,
    running: Vec<Operation>,
    timeout: Duration,
    /// See [`Engine::now`].
    clock: Instant,
}

/// What was started and has not completed.
struct Operation {
    token: u64,
    number: u64,
    op: &'static str,
    qd: i32,
    since: Instant,
    /// Of a push: freed when it is done.
    array: Option<SgArray>,
}

fn checked(errno: i32, what: impl FnOnce() -> String) -> Result<()> {
    if errno == 0 {
        Ok(())
    } else {
        Err(Failure::of(what(), errno))
    }
}

impl Engine {
    /// Make the engine of this thread; `timeout` is what a wait may take that gives none itself.
    pub fn new(library: Library, timeout: Duration) -> Result<Self> {
        let name = CString::from(c"testbed-libos");
        checked(library.init(Some(&[name])), || "demi_init".into())?;
        Ok(Self { library, started: 0, running: Vec::new(), timeout, clock: Instant::now() })
    }

    /// When it was made, or anything completed last or a time-out was reached. A push, which most often completes at once, does
    /// not count: in a guest a reading of the clock costs as much as a push.
    pub fn now(&self) -> Instant {
        self.clock
    }

    pub fn socket(&self, transport: &Transport) -> Result<i32> {
        let kind = match transport {
            Transport::Tcp => libc::SOCK_STREAM,
            Transport::Udp => libc::SOCK_DGRAM,
        };
        let mut qd = -1;
        checked(self.library.socket(Some(&mut qd), libc::AF_INET, kind, 0), || "demi_socket".into())?;
        Ok(qd)
    }

    /// A socket that is bound.
    pub fn bound(&self, transport: &Transport, local: SocketAddrV4) -> Result<i32> {
        let qd = self.socket(transport)?;
        checked(self.library.bind(qd, Some(&layout::raw_address(local))), || format!("demi_bind to {local}"))?;
        Ok(qd)
    }

    pub fn listen(&self, local: SocketAddrV4, backlog: u32) -> Result<i32> {
        let qd = self.bound(&Transport::Tcp, local)?;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        checked(self.library.listen(qd, backlog), || format!("demi_listen on {local}"))?;
        Ok(qd)
    }

    pub fn accept(&mut self, qd: i32) -> Result<u64> {
        let mut token = 0;
        checked(self.library.accept(Some(&mut token), qd), || format!("demi_accept on queue {qd}"))?;
        Ok(self.started(token, "accept", qd, None))
    }

    pub fn connect(&mut self, qd: i32, remote: SocketAddrV4) -> Result<u64> {
        let mut token = 0;
        let errno = self.library.connect(Some(&mut token), qd, Some(&layout::raw_address(remote)));
        checked(errno, || format!("demi_connect to {remote}"))?;
        Ok(self.started(token, "connect", qd, None))
    }

    pub fn close(&self, qd: i32) -> Result<()> {
        checked(self.library.close(qd), || format!("demi_close of queue {qd}"))
    }

    /// Start to send bytes that `fill` writes into a buffer of the library's.
    pub fn push(
        &mut self,
        qd: i32,
        size: usize,
        to: Option<SocketAddrV4>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<u64> {
        let mut array = self.library.sgaalloc(size);
        let room = library::bytes_of_mut(&mut array);
        if room.len() != size {
            return Err(Failure::of(format!("demi_sgaalloc of {size} bytes"), libc::ENOMEM));
        }
        fill(room);
        self.push_array(qd, array, to)
    }

    /// Send a buffer on that was popped.
    pub fn push_on(&mut self, qd: i32, buffer: Buffer, to: Option<SocketAddrV4>) -> Result<u64> {
        let array = buffer.array;
        std::mem::forget(buffer); // freed when the push is done
        self.push_array(qd, array, to)
    }

    fn push_array(&mut self, qd: i32, mut array: SgArray, to: Option<SocketAddrV4>) -> Result<u64> {
        let mut token = 0;
        let errno = match to {
            None => self.library.push(Some(&mut token), qd, Some(&array)),
            Some(to) => self.library.pushto(Some(&mut token), qd, Some(&array), Some(&layout::raw_address(to))),
        };
        if errno != 0 {
            self.library.sgafree(Some(&mut array));
            return Err(Failure::of(format!("demi_push on queue {qd}"), errno));
        }
        Ok(self.started(token, "push", qd, Some(array)))
    }

    fn started(&mut self, token: u64, op: &'static str, qd: i32, array: Option<SgArray>) -> u64 {
        self.started += 1;
        self.running.push(Operation { token, number: self.started, op, qd, since: self.clock, array });
        token
    }

    pub fn pop(&mut self, qd: i32) -> Result<u64> {
        let mut token = 0;
        checked(self.library.pop(Some(&mut token), qd), || format!("demi_pop on queue {qd}"))?;
        Ok(self.started(token, "pop", qd, None))
    }

    pub fn create_pipe(&self, name: &str) -> Result<i32> {
        let mut qd = -1;
        let c_name = CString::new(name).unwrap_or_default();
        checked(self.library.create_pipe(Some(&mut qd), Some(&c_name)), || format!("demi_create_pipe {name}"))?;
        Ok(qd)
    }

    pub fn open_pipe(&self, name: &str) -> Result<i32> {
        let mut qd = -1;
        let c_name = CString::new(name).unwrap_or_default();
        checked(self.library.open_pipe(Some(&mut qd), Some(&c_name)), || format!("demi_open_pipe {name}"))?;
        Ok(qd)
    }

    /// Wait for one operation.
    pub fn wait(&mut self, token: u64) -> Result<Done> {
        self.wait_for(token, self.timeout)?.ok_or_else(|| self.late("demi_wait"))
    }

    /// Wait for one operation, or for a length of time: then `None`.
    pub fn wait_for(&mut self, token: u64, timeout: Duration) -> Result<Option<Done>> {
        let mut guarded = Guarded::new();
        let errno = self.library.wait(Some(&mut guarded.result), token, Some(&timespec(timeout)));
        whole("demi_wait", &guarded)?;
        if errno == libc::ETIMEDOUT {
            self.clock = Instant::now();
            return Ok(None);
        }
        checked(errno, || format!("demi_wait for token {token:#x}"))?;
        self.done(&guarded.result).map(Some)
    }

    /// Wait for the first of several operations; gives its index, too.
    pub fn wait_any(&mut self, tokens: &[u64]) -> Result<(usize, Done)> {
        self.wait_any_for(tokens, self.timeout)?.ok_or_else(|| self.late("demi_wait_any"))
    }

    pub fn wait_any_for(&mut self, tokens: &[u64], timeout: Duration) -> Result<Option<(usize, Done)>> {
        let (mut guarded, mut index) = (Guarded::new(), -1);
        let timeout = timespec(timeout);
        let errno =
            self.library.wait_any(Some(&mut guarded.result), Some(&mut index), Some(tokens), None, Some(&timeout));
        whole("demi_wait_any", &guarded)?;
        if errno == libc::ETIMEDOUT {
            self.clock = Instant::now();
            return Ok(None);
        }
        checked(errno, || format!("demi_wait_any for {} tokens", tokens.len()))?;
        let found = usize::try_from(index).ok().filter(|index| tokens.get(*index) == Some(&{ guarded.result.token }));
        let Some(index) = found else {
            return Err(Failure::wrong(format!("demi_wait_any gave index {index} of {} tokens", tokens.len())));
        };
        Ok(Some((index, self.done(&guarded.result)?)))
    }

    fn late(&self, call: &str) -> Failure {
        self.hangs(format!("{call} did not return within {} s", self.timeout.as_secs_f64()))
    }

    /// A failure of something that should have completed by now, with all that has not.
    pub fn hangs(&self, what: String) -> Failure {
        let mut pending: Vec<_> = self.running.iter().map(Operation::pending).collect();
        pending.sort_by_key(|operation| operation.number);
        Failure { what, errno: 0, late: Some(pending) }
    }

    fn done(&mut self, result: &QResult) -> Result<Done> {
        let QResult { opcode, token, ret, .. } = *result;
        if opcode != layout::PUSH {
            self.clock = Instant::now();
        }
        if let Some(index) = self.running.iter().position(|operation| operation.token == token) {
            if let Some(mut array) = self.running.swap_remove(index).array {
                self.library.sgafree(Some(&mut array));
            }
        }
        match opcode {
            layout::PUSH => Ok(Done::Pushed),
            layout::POP => Ok(Done::Popped(Buffer { library: self.library, array: library::popped(result) })),
            layout::ACCEPT => Ok(Done::Accepted(library::accepted(result).qd)),
            layout::CONNECT => Ok(Done::Connected),
            layout::FAILED => Ok(Done::Failed(i32::try_from(ret).unwrap_or(libc::EIO))),
            other => Err(Failure::wrong(format!("token {token:#x} completed with opcode {other}"))),
        }
    }
}

/// The library wrote its result and nothing behind it.
fn whole(call: &str, guarded: &Guarded) -> Result<()> {
    if guarded.overran() {
        return Err(Failure::wrong(format!(
            "{call} wrote behind the 64 bytes of demi_qresult_t: it has another size there"
        )));
    }
    Ok(())
}

impl Operation {
    fn pending(&self) -> Pending {
        let age_ns = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Pending { number: self.number, op: self.op, qd: self.qd, age_ns }
    }
}

fn timespec(time: Duration) -> TimeSpec {
    TimeSpec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}

/// What a completion must be; a failed one is a failure with its errno.
macro_rules! wanted {
    ($name:ident, $pattern:pat => $value:expr, $type:ty, $what:literal) => {
        impl Done {
            pub fn $name(self) -> Result<$type> {
                match self {
                    $pattern => Ok($value),
                    Done::Failed(errno) => Err(Failure::of($what, errno)),
                    _ => Err(Failure::wrong(concat!($what, ": another operation completed"))),
                }
            }
        }
    };
}

wanted!(pushed, Done::Pushed => (), (), "push");
wanted!(popped, Done::Popped(buffer) => buffer, Buffer, "pop");
wanted!(accepted, Done::Accepted(qd) => qd, i32, "accept");
wanted!(connected, Done::Connected => (), (), "connect");
