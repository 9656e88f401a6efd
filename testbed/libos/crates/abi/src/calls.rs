// SPDX-License-Identifier: MIT
//! The functions of `include/demi.h`, for any I/O path: arguments are checked here, the engine does the rest.
//!
//! # Safety
//! All take pointers from C. Each may be null (`EINVAL`); one that is not points to what its type says, aligned or not,
//! which is what a C program promises by calling.
#![allow(clippy::missing_safety_doc)] // said once, above

use std::ffi::{c_char, c_int, c_void, CStr};
use std::mem::size_of;
use std::net::SocketAddrV4;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::thread::LocalKey;
use std::time::Duration;

use queue::{Completion, Engine, Errno, IoPath, OptionName, Outcome, SocketKind, SocketOption, Token};

use crate::boundary::{with, with_slot, LibOs, Local};
use crate::layout::{
    AcceptResult, Args, QResult, Segment, SgArray, SockAddrIn, Value, OPC_ACCEPT, OPC_CONNECT, OPC_FAILED, OPC_POP,
    OPC_PUSH,
};
use crate::memory::Memory;
use crate::{config, logging};

/// A flavor's place for its engines.
pub type Key<P> = &'static LocalKey<Local<P>>;

pub unsafe fn init<P: IoPath>(key: Key<P>, flavor: &str, args: *const Args) -> c_int {
    with_slot(key, "demi_init", |slot| {
        if slot.is_some() {
            return Err(Errno::EEXIST);
        }
        // SAFETY: see above.
        let args = unsafe { get(args) }?;
        logging::start(args.log_callback);
        if let Some(wanted) = std::env::var_os("LIBOS").filter(|wanted| wanted != flavor) {
            log::warn!("LIBOS is {}, this library is {flavor}", wanted.to_string_lossy());
        }
        let config = config::read()?;
        let engine = Engine::open(&config).inspect_err(|errno| log::error!("{flavor} does not start: {errno}"))?;
        *slot = Some(LibOs { engine, memory: Rc::new(Memory::default()), tokens: Vec::new() });
        Ok(())
    })
}

pub unsafe fn socket<P: IoPath>(key: Key<P>, out: *mut c_int, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    with(key, "demi_socket", |libos| {
        let out = Out::new(out)?;
        let kind = match (domain, kind, protocol) {
            (libc::AF_INET, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => SocketKind::Stream,
            (libc::AF_INET, libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => SocketKind::Datagram,
            _ => return Err(Errno::ENOTSUP),
        };
        // SAFETY: see above.
        unsafe { out.write(libos.engine.socket(kind)?) }
    })
}

pub unsafe fn bind<P: IoPath>(key: Key<P>, qd: c_int, addr: *const c_void, len: u32) -> c_int {
    with(key, "demi_bind", |libos| {
        // SAFETY: see above.
        let local = unsafe { address(addr, len) }?;
        libos.engine.bind(qd, local)
    })
}

pub fn listen<P: IoPath>(key: Key<P>, qd: c_int, backlog: c_int) -> c_int {
    with(key, "demi_listen", |libos| libos.engine.listen(qd, backlog.try_into().map_err(|_| Errno::EINVAL)?))
}

pub unsafe fn accept<P: IoPath>(key: Key<P>, out: *mut u64, qd: c_int) -> c_int {
    with(key, "demi_accept", |libos| {
        let out = Out::new(out)?;
        // SAFETY: see above.
        unsafe { out.write(libos.engine.accept(qd)?.number()) }
    })
}

pub unsafe fn connect<P: IoPath>(key: Key<P>, out: *mut u64, qd: c_int, addr: *const c_void, len: u32) -> c_int {
    with(key, "demi_connect", |libos| {
        let out = Out::new(out)?;
        // SAFETY: see above.
        unsafe { out.write(libos.engine.connect(qd, address(addr, len)?)?.number()) }
    })
}

pub fn close<P: IoPath>(key: Key<P>, qd: c_int) -> c_int {
    with(key, "demi_close", |libos| libos.engine.close(qd))
}

pub unsafe fn push<P: IoPath>(key: Key<P>, out: *mut u64, qd: c_int, sga: *const SgArray) -> c_int {
    with(key, "demi_push", |libos| {
        let out = Out::new(out)?;
        // SAFETY: see above.
        let bytes = unsafe { libos.memory.offer(array(sga)?) }?;
        // SAFETY: see above.
        unsafe { out.write(libos.engine.push(qd, bytes, None)?.number()) }
    })
}

pub unsafe fn pushto<P: IoPath>(
    key: Key<P>,
    out: *mut u64,
    qd: c_int,
    sga: *const SgArray,
    to: *const c_void,
    len: u32,
) -> c_int {
    with(key, "demi_pushto", |libos| {
        let out = Out::new(out)?;
        // SAFETY: see above.
        let (bytes, to) = unsafe { (libos.memory.offer(array(sga)?)?, address(to, len)?) };
        // SAFETY: see above.
        unsafe { out.write(libos.engine.push(qd, bytes, Some(to))?.number()) }
    })
}

pub unsafe fn pop<P: IoPath>(key: Key<P>, out: *mut u64, qd: c_int) -> c_int {
    with(key, "demi_pop", |libos| {
        let out = Out::new(out)?;
        // SAFETY: see above.
        unsafe { out.write(libos.engine.pop(qd)?.number()) }
    })
}

pub unsafe fn setsockopt<P: IoPath>(
    key: Key<P>,
    qd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: u32,
) -> c_int {
    with(key, "demi_setsockopt", |libos| {
        let name = option_name(level, name)?;
        if len < option_bytes(name) {
            return Err(Errno::EINVAL);
        }
        let option = match name {
            OptionName::Linger => {
                // SAFETY: see above, and there are enough bytes.
                let [on, seconds] = unsafe { get(value.cast::<[c_int; 2]>()) }?;
                let seconds = u64::try_from(seconds).map_err(|_| Errno::EINVAL)?;
                SocketOption::Linger((on != 0).then(|| Duration::from_secs(seconds)))
            }
            // SAFETY: see above, and there are enough bytes.
            OptionName::KeepAlive => SocketOption::KeepAlive(unsafe { get(value.cast::<c_int>()) }? != 0),
            // SAFETY: see above, and there are enough bytes.
            OptionName::NoDelay => SocketOption::NoDelay(unsafe { get(value.cast::<c_int>()) }? != 0),
        };
        libos.engine.set_option(qd, option)
    })
}

pub unsafe fn getsockopt<P: IoPath>(
    key: Key<P>,
    qd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut u32,
) -> c_int {
    with(key, "demi_getsockopt", |libos| {
        let name = option_name(level, name)?;
        let (value, len_out) = (Out::new(value)?, Out::new(len)?);
        // SAFETY: see above.
        if unsafe { get(len) }? < option_bytes(name) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: see above, and there is room.
        unsafe {
            match libos.engine.option(qd, name)? {
                SocketOption::Linger(time) => {
                    let seconds = time.map_or(0, |time| c_int::try_from(time.as_secs()).unwrap_or(c_int::MAX));
                    value.cast::<[c_int; 2]>().write([time.is_some().into(), seconds])?;
                }
                SocketOption::KeepAlive(on) | SocketOption::NoDelay(on) => value.cast::<c_int>().write(on.into())?,
            }
            len_out.write(option_bytes(name))
        }
    })
}

pub unsafe fn getpeername<P: IoPath>(key: Key<P>, qd: c_int, addr: *mut c_void, len: *mut u32) -> c_int {
    with(key, "demi_getpeername", |libos| {
        let (addr, len_out) = (Out::new(addr)?, Out::new(len)?);
        // SAFETY: see above.
        if unsafe { get(len) }? < ADDRESS_BYTES {
            return Err(Errno::EINVAL);
        }
        let peer = libos.engine.peer_name(qd)?;
        // SAFETY: see above, and there is room.
        unsafe {
            addr.cast::<SockAddrIn>().write(peer.into())?;
            len_out.write(ADDRESS_BYTES)
        }
    })
}

pub fn sgaalloc<P: IoPath>(key: Key<P>, size: usize) -> SgArray {
    let mut array = SgArray::NONE;
    with(key, "demi_sgaalloc", |libos| {
        if size == 0 || size > u32::MAX as usize {
            return Err(Errno::EINVAL);
        }
        recycle(libos);
        let mut buffer = libos.engine.pool().try_take(size).ok_or(Errno::ENOMEM)?;
        buffer.advance(size);
        array = libos.memory.hand_out(buffer, SockAddrIn::NONE);
        Ok(())
    });
    array
}

pub unsafe fn sgafree<P: IoPath>(key: Key<P>, sga: *mut SgArray) -> c_int {
    with(key, "demi_sgafree", |libos| {
        // SAFETY: see above.
        let array = unsafe { array(sga) }?;
        if let Some(buffer) = libos.memory.take_back(array.buf)? {
            libos.engine.pool().give(buffer);
        }
        recycle(libos);
        Ok(())
    })
}

pub fn drive<P: IoPath>(key: Key<P>, fd: c_int) -> c_int {
    with(key, "testbed_drive", |libos| {
        let readable = || {
            let mut wanted = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one `pollfd`. What is wrong with the descriptor counts as readable, so that its owner sees it.
            unsafe { libc::poll(&raw mut wanted, 1, 0) != 0 }
        };
        if fd < 0 {
            return Err(Errno::EBADF);
        }
        // SAFETY: the caller's descriptor, which it does not close during the call.
        let wake = unsafe { BorrowedFd::borrow_raw(fd) };
        libos.engine.drive_until(wake, readable);
        Ok(())
    })
}

pub unsafe fn wait<P: IoPath>(key: Key<P>, out: *mut QResult, token: u64, timeout: *const libc::timespec) -> c_int {
    with(key, "demi_wait", |libos| {
        // SAFETY: see above.
        let (out, timeout) = (Out::new(out)?, unsafe { duration(timeout) }?);
        let done = libos.engine.wait(Token::from_number(token), timeout)?;
        // SAFETY: see above.
        unsafe { put(out.0, &libos.memory, done) };
        Ok(())
    })
}

pub unsafe fn wait_any<P: IoPath>(
    key: Key<P>,
    out: *mut QResult,
    offset: *mut c_int,
    tokens: *const u64,
    count: c_int,
    timeout: *const libc::timespec,
) -> c_int {
    with(key, "demi_wait_any", |libos| {
        // SAFETY: see above.
        let (out, offset, timeout) = (Out::new(out)?, Out::new(offset)?, unsafe { duration(timeout) }?);
        if tokens.is_null() || count <= 0 {
            return Err(Errno::EINVAL);
        }
        libos.tokens.clear();
        // SAFETY: see above: there are `count` tokens.
        let numbers = (0..count as usize).map(|place| unsafe { tokens.add(place).read_unaligned() });
        libos.tokens.extend(numbers.map(Token::from_number));
        let (place, done) = libos.engine.wait_any(&libos.tokens, timeout)?;
        // SAFETY: see above.
        unsafe {
            put(out.0, &libos.memory, done);
            offset.write(place as c_int)
        }
    })
}

pub unsafe fn wait_next_n<P: IoPath>(
    key: Key<P>,
    out: *mut QResult,
    most: c_int,
    count: *mut c_int,
    timeout: *const libc::timespec,
) -> c_int {
    with(key, "demi_wait_next_n", |libos| {
        // SAFETY: see above.
        let (_, count, timeout) = (Out::new(out)?, Out::new(count)?, unsafe { duration(timeout) }?);
        let most = usize::try_from(most).map_err(|_| Errno::EINVAL)?;
        let mut place = out;
        let memory = &libos.memory;
        let found = libos.engine.wait_next_n(most, timeout, |done| {
            // SAFETY: see above: there is room for `most` results, and no more than these come.
            unsafe {
                put(place, memory, done);
                place = place.add(1);
            }
        })?;
        // SAFETY: see above.
        unsafe { count.write(found as c_int) }
    })
}

pub unsafe fn create_pipe<P: IoPath>(key: Key<P>, out: *mut c_int, name: *const c_char) -> c_int {
    with(key, "demi_create_pipe", |libos| {
        let out = Out::new(out)?;
        // SAFETY: see above.
        unsafe { out.write(libos.engine.create_pipe(text(name)?)?) }
    })
}

pub unsafe fn open_pipe<P: IoPath>(key: Key<P>, out: *mut c_int, name: *const c_char) -> c_int {
    with(key, "demi_open_pipe", |libos| {
        let out = Out::new(out)?;
        // SAFETY: see above.
        unsafe { out.write(libos.engine.open_pipe(text(name)?)?) }
    })
}

const ADDRESS_BYTES: u32 = size_of::<SockAddrIn>() as u32;

/// A place for a result that is not null.
struct Out<T>(*mut T);

impl<T> Out<T> {
    fn new(place: *mut T) -> Result<Out<T>, Errno> {
        if place.is_null() {
            Err(Errno::EINVAL)
        } else {
            Ok(Out(place))
        }
    }

    fn cast<U>(&self) -> Out<U> {
        Out(self.0.cast())
    }

    /// # Safety
    /// The place has room for a `T`.
    unsafe fn write(&self, value: T) -> Result<(), Errno> {
        // SAFETY: promised by the caller.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }
}

/// # Safety
/// The place is null, or has a `T`.
unsafe fn get<T: Copy>(place: *const T) -> Result<T, Errno> {
    if place.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: promised by the caller.
    Ok(unsafe { place.read_unaligned() })
}

/// What the program passes of an array, each field by a read of its own: of the whole the compiler makes single bytes.
///
/// # Safety
/// The place is null, or has an array.
#[inline(always)]
unsafe fn array(place: *const SgArray) -> Result<SgArray, Errno> {
    if place.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: promised by the caller.
    unsafe {
        let buf = (&raw const (*place).buf).read_unaligned();
        let numsegs = (&raw const (*place).numsegs).read_unaligned();
        let first = (&raw const (*place).segs).cast::<Segment>();
        let segs = [Segment {
            buf: (&raw const (*first).buf).read_unaligned(),
            len: (&raw const (*first).len).read_unaligned(),
        }];
        Ok(SgArray { buf, numsegs, segs, addr: SockAddrIn::NONE })
    }
}

/// # Safety
/// The place is null, or has `len` bytes.
unsafe fn address(place: *const c_void, len: u32) -> Result<SocketAddrV4, Errno> {
    if len < ADDRESS_BYTES {
        return Err(Errno::EINVAL);
    }
    // SAFETY: promised by the caller, and there are enough bytes.
    let found: SockAddrIn = unsafe { get(place.cast()) }?;
    if c_int::from(found.family) != libc::AF_INET {
        return Err(Errno::ENOTSUP);
    }
    Ok(found.into())
}

/// # Safety
/// The place is null, or has a string that ends in a null byte.
unsafe fn text<'a>(place: *const c_char) -> Result<&'a str, Errno> {
    if place.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: promised by the caller.
    let name = unsafe { CStr::from_ptr(place) }.to_str().map_err(|_| Errno::EINVAL)?;
    if name.is_empty() {
        return Err(Errno::EINVAL);
    }
    Ok(name)
}

/// # Safety
/// The place is null (for ever), or has a `struct timespec`.
unsafe fn duration(place: *const libc::timespec) -> Result<Option<Duration>, Errno> {
    if place.is_null() {
        return Ok(None);
    }
    // SAFETY: promised by the caller.
    let time = unsafe { get(place) }?;
    let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::EINVAL)?;
    let nanos = u32::try_from(time.tv_nsec).ok().filter(|&nanos| nanos < 1_000_000_000).ok_or(Errno::EINVAL)?;
    Ok(Some(Duration::new(seconds, nanos)))
}

fn option_name(level: c_int, name: c_int) -> Result<OptionName, Errno> {
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_LINGER) => Ok(OptionName::Linger),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => Ok(OptionName::KeepAlive),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => Ok(OptionName::NoDelay),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// An `int`, or a `struct linger` of two (socket(7)).
fn option_bytes(name: OptionName) -> u32 {
    if name == OptionName::Linger {
        8
    } else {
        4
    }
}

/// Buffers that were freed while they were pushed go back to the pool.
#[inline(always)]
fn recycle<P: IoPath>(libos: &mut LibOs<P>) {
    while let Some(buffer) = libos.memory.late() {
        libos.engine.pool().give(buffer);
    }
}

/// Write down what came of an operation.
///
/// # Safety
/// The place has room for a result.
#[inline(always)]
unsafe fn put(place: *mut QResult, memory: &Memory, done: Completion) {
    let (qd, qt) = (done.qd, done.token.number());
    // One write for each outcome, so that what is known of it stays in registers.
    let write = |opcode, ret, value| {
        // SAFETY: promised by the caller.
        unsafe { QResult { opcode, qd, qt, ret, value }.store(place) };
    };
    let nothing = Value { sga: SgArray::NONE };
    match done.outcome {
        Outcome::Pushed => write(OPC_PUSH, 0, nothing),
        Outcome::Connected => write(OPC_CONNECT, 0, nothing),
        Outcome::Failed(errno) => write(OPC_FAILED, errno.number().into(), nothing),
        Outcome::Popped(buffer, None) => {
            write(OPC_POP, 0, Value { sga: memory.hand_out(buffer, SockAddrIn::NONE) });
        }
        Outcome::Popped(buffer, Some(from)) => {
            write(OPC_POP, 0, Value { sga: memory.hand_out(buffer, from.into()) });
        }
        Outcome::Accepted(qd, peer) => {
            // The rest of the union is zero, too.
            let mut value = nothing;
            value.accepted = AcceptResult { qd, addr: peer.into() };
            write(OPC_ACCEPT, 0, value);
        }
    }
}
