// SPDX-License-Identifier: MIT
//! The structures of `include/demi.h`, byte by byte.

use std::ffi::{c_char, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::net::{Ipv4Addr, SocketAddrV4};

pub const OPC_PUSH: i32 = 1;
pub const OPC_POP: i32 = 2;
pub const OPC_ACCEPT: i32 = 3;
pub const OPC_CONNECT: i32 = 4;
pub const OPC_FAILED: i32 = 6;

/// Takes a line of the log: level, module, file, line number, message; strings with their lengths.
pub type LogCallback = extern "C" fn(c_int, *const c_char, u32, *const c_char, u32, u32, *const c_char, u32);

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Args {
    pub argc: c_int,
    pub argv: *const *const c_char,
    pub log_callback: Option<LogCallback>,
}

/// `struct sockaddr_in` (ip(7)), packed like what it is part of.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct SockAddrIn {
    pub family: u16,
    /// In network order.
    pub port: [u8; 2],
    pub address: [u8; 4],
    pub zero: [u8; 8],
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Segment {
    pub buf: *mut c_void,
    pub len: u32,
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct SgArray {
    pub buf: *mut c_void,
    pub numsegs: u32,
    pub segs: [Segment; 1],
    pub addr: SockAddrIn,
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct AcceptResult {
    pub qd: i32,
    pub addr: SockAddrIn,
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub union Value {
    pub sga: SgArray,
    pub accepted: AcceptResult,
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct QResult {
    pub opcode: i32,
    pub qd: i32,
    pub qt: u64,
    pub ret: i64,
    pub value: Value,
}

const _: () = {
    assert!(size_of::<Args>() == 20 && offset_of!(Args, argv) == 4 && offset_of!(Args, log_callback) == 12);
    assert!(size_of::<SockAddrIn>() == 16 && offset_of!(SockAddrIn, address) == 4);
    assert!(size_of::<Segment>() == 12 && offset_of!(Segment, len) == 8);
    assert!(size_of::<SgArray>() == 40 && offset_of!(SgArray, segs) == 12 && offset_of!(SgArray, addr) == 24);
    assert!(size_of::<AcceptResult>() == 20 && offset_of!(AcceptResult, addr) == 4);
    assert!(size_of::<QResult>() == 64 && offset_of!(QResult, qt) == 8 && offset_of!(QResult, ret) == 16);
    assert!(offset_of!(QResult, value) == 24);
};

impl QResult {
    /// Write it in pieces of 16 bytes: a program copies it in such pieces at once, and a processor gives a piece that was just
    /// written from its store buffer only if it was written in one.
    ///
    /// # Safety
    /// The place has room for it, aligned or not.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub unsafe fn store(self, place: *mut QResult) {
        use std::arch::x86_64::{__m128i, _mm_set_epi64x, _mm_storeu_si128};
        // SAFETY: as many bytes, and no padding (the assertions above); the members of the union are built upon one of zeros.
        let words: [i64; 8] = unsafe { std::mem::transmute(self) };
        for (at, pair) in words.chunks_exact(2).enumerate() {
            // SAFETY: promised by the caller; SSE2 is part of x86-64.
            unsafe { _mm_storeu_si128(place.cast::<__m128i>().add(at), _mm_set_epi64x(pair[1], pair[0])) };
        }
    }

    /// # Safety
    /// The place has room for it, aligned or not.
    #[cfg(not(target_arch = "x86_64"))]
    pub unsafe fn store(self, place: *mut QResult) {
        // SAFETY: promised by the caller.
        unsafe { place.write_unaligned(self) };
    }
}

impl SockAddrIn {
    pub const NONE: SockAddrIn = SockAddrIn { family: 0, port: [0; 2], address: [0; 4], zero: [0; 8] };
}

impl From<SocketAddrV4> for SockAddrIn {
    fn from(from: SocketAddrV4) -> SockAddrIn {
        SockAddrIn {
            family: libc::AF_INET as u16,
            port: from.port().to_be_bytes(),
            address: from.ip().octets(),
            zero: [0; 8],
        }
    }
}

impl From<SockAddrIn> for SocketAddrV4 {
    fn from(from: SockAddrIn) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(from.address), u16::from_be_bytes(from.port))
    }
}

impl SgArray {
    /// An array without segments.
    pub const NONE: SgArray = SgArray {
        buf: std::ptr::null_mut(),
        numsegs: 0,
        segs: [Segment { buf: std::ptr::null_mut(), len: 0 }],
        addr: SockAddrIn::NONE,
    };
}
