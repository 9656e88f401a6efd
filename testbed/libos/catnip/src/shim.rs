// SPDX-License-Identifier: MIT
//! The shim's functions (`shim.c`), made safe: DPDK's state is one per process, so is [`Port`].

use std::ffi::{c_char, c_int, CString};
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use queue::Errno;

use crate::waiter::raw_sockets;

/// DPDK's frame buffer, `struct rte_mbuf`.
#[repr(C)]
struct Mbuf {
    _opaque: [u8; 0],
}

/// `struct shim_port`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct RawPort {
    id: u16,
    mtu: u16,
    mac: [u8; 6],
    is_af_packet: u8,
}

extern "C" {
    fn shim_start(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn shim_open(port: *mut RawPort, all: c_int) -> c_int;
    fn shim_close(id: u16);
    fn shim_receive(id: u16, frames: *mut *mut Mbuf, most: u16) -> u16;
    fn shim_send(id: u16, frames: *mut *mut Mbuf, count: u16) -> u16;
    fn shim_bytes(frame: *const Mbuf, length: *mut u32) -> *const u8;
    fn shim_take() -> *mut Mbuf;
    fn shim_room(frame: *mut Mbuf, length: u16) -> *mut u8;
    fn shim_give(frame: *mut Mbuf);
}

/// Frames that are received or sent at once.
pub const BURST: usize = 32;

fn check(result: c_int) -> Result<(), Errno> {
    if result < 0 {
        Err(Errno::new(-result))
    } else {
        Ok(())
    }
}

/// Starts DPDK with these words, once per process: later words are not looked at. Gives the raw sockets that it opened, which it
/// keeps for every use of a port.
pub fn start(words: &[String]) -> Result<&'static [RawFd], Errno> {
    static STARTED: OnceLock<Result<Vec<RawFd>, Errno>> = OnceLock::new();
    let started = STARTED.get_or_init(|| {
        let before = raw_sockets();
        let words = std::iter::once("catnip").chain(words.iter().map(String::as_str));
        let words: Result<Vec<CString>, _> = words.map(CString::new).collect();
        let words = words.map_err(|_| Errno::EINVAL)?;
        // DPDK keeps the pointers, and moves them around in an array that ends in null.
        let mut words: Vec<*mut c_char> = words.into_iter().map(CString::into_raw).collect();
        let count = c_int::try_from(words.len()).map_err(|_| Errno::EINVAL)?;
        words.push(std::ptr::null_mut());
        // SAFETY: `count` strings that live for ever, and a null; the array is leaked, too.
        check(unsafe { shim_start(count, words.leak().as_mut_ptr()) })?;
        Ok(raw_sockets().difference(&before).copied().collect())
    });
    started.as_deref().map_err(|&errno| errno)
}

/// A port in use.
pub struct Port {
    raw: RawPort,
    /// DPDK's caches belong to a thread.
    _one_thread: PhantomData<*mut ()>,
}

static TAKEN: AtomicBool = AtomicBool::new(false);

impl Port {
    /// Takes the first port into use; with `all` also frames for other addresses.
    ///
    /// # Errors
    /// `EBUSY`: this process has it in use already. `ENODEV`: there is none. What the driver says.
    pub fn open(all: bool) -> Result<Self, Errno> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(Errno::EBUSY);
        }
        let mut raw = RawPort::default();
        // SAFETY: one `shim_port`; DPDK is started, and no other thread is in the shim.
        let opened = check(unsafe { shim_open(&raw mut raw, c_int::from(all)) });
        if opened.is_err() {
            TAKEN.store(false, Ordering::Release);
        }
        opened.map(|()| Self { raw, _one_thread: PhantomData })
    }

    pub fn mac(&self) -> [u8; 6] {
        self.raw.mac
    }

    /// The longest IP packet, bytes.
    pub fn mtu(&self) -> usize {
        usize::from(self.raw.mtu)
    }

    /// It is a raw socket on a kernel's interface.
    pub fn is_raw_socket(&self) -> bool {
        self.raw.is_af_packet != 0
    }

    /// Receives at most [`BURST`] frames into an empty list.
    pub fn receive(&self, frames: &mut Vec<Frame>) {
        debug_assert!(frames.is_empty());
        frames.reserve(BURST);
        // SAFETY: the port is started, and the list has room for so many frames, which are pointers that are not null.
        unsafe {
            let count = shim_receive(self.raw.id, frames.as_mut_ptr().cast(), BURST as u16);
            frames.set_len(usize::from(count));
        }
    }

    /// Sends frames, the first ones first, as many as the port takes.
    pub fn send(&self, frames: &mut Vec<Frame>) {
        let count = frames.len().min(BURST);
        // SAFETY: the port is started, and so many pointers are frames of ours.
        let sent = usize::from(unsafe { shim_send(self.raw.id, frames.as_mut_ptr().cast(), count as u16) });
        // What was sent belongs to DPDK now.
        if sent == frames.len() {
            // SAFETY: none is left.
            unsafe { frames.set_len(0) };
        } else {
            frames.drain(..sent).for_each(std::mem::forget);
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: the port that `open` started.
        unsafe { shim_close(self.raw.id) };
        TAKEN.store(false, Ordering::Release);
    }
}

/// A frame buffer of DPDK: a pointer to it, so that a list of frames is what DPDK takes and gives.
#[repr(transparent)]
pub struct Frame(NonNull<Mbuf>);

impl Frame {
    /// Takes a free one; only while a port is open.
    pub fn take() -> Option<Self> {
        // SAFETY: a port was opened, which makes the pool.
        NonNull::new(unsafe { shim_take() }).map(Frame)
    }

    /// What was received; nothing when it does not lie together.
    pub fn bytes(&self) -> Option<&[u8]> {
        let mut length = 0;
        // SAFETY: a frame of ours.
        let first = unsafe { shim_bytes(self.0.as_ptr(), &raw mut length) };
        if first.is_null() {
            return None;
        }
        // SAFETY: so many bytes lie there as long as the frame lives.
        Some(unsafe { std::slice::from_raw_parts(first, length as usize) })
    }

    /// Room for a frame of so many bytes to be sent; nothing when there is not so much.
    pub fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        let count = u16::try_from(length).ok()?;
        // SAFETY: a frame of ours.
        let first = unsafe { shim_room(self.0.as_ptr(), count) };
        if first.is_null() {
            return None;
        }
        // SAFETY: so many bytes were set aside in the frame, and nobody else has them.
        Some(unsafe { std::slice::from_raw_parts_mut(first, length) })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: a frame of ours that nobody uses any more.
        unsafe { shim_give(self.0.as_ptr()) };
    }
}
