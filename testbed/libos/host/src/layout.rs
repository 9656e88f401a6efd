// SPDX-License-Identifier: MIT
//! The structures of the C ABI, as anybody's library has them; kept apart from our own libraries' crate, so that a
//! mistake there is a difference here.

use std::mem::size_of;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::raw::{c_char, c_int, c_void};

pub const PUSH: i32 = 1;
pub const POP: i32 = 2;
pub const ACCEPT: i32 = 3;
pub const CONNECT: i32 = 4;
pub const FAILED: i32 = 6;

/// `struct sockaddr_in`, ip(7); port and address in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed)]
pub struct SockAddrIn {
    pub family: u16,
    pub port: [u8; 2],
    pub host: [u8; 4],
    pub zero: [u8; 8],
}

impl SockAddrIn {
    pub const EMPTY: Self = Self { family: 0, port: [0; 2], host: [0; 4], zero: [0; 8] };

    /// The address; `None` where it has no family.
    pub fn address(&self) -> Option<SocketAddrV4> {
        let Self { family, port, host, .. } = *self;
        let address = || SocketAddrV4::new(Ipv4Addr::from(host), u16::from_be_bytes(port));
        (i32::from(family) == libc::AF_INET).then(address)
    }

    /// The bytes as they lie in memory.
    pub fn bytes(&self) -> [u8; 16] {
        let mut raw = [0; 16];
        raw[..2].copy_from_slice(&{ self.family }.to_ne_bytes());
        raw[2..4].copy_from_slice(&self.port);
        raw[4..8].copy_from_slice(&self.host);
        raw[8..].copy_from_slice(&self.zero);
        raw
    }
}

/// The raw bytes of an address.
pub fn raw_address(address: SocketAddrV4) -> [u8; 16] {
    let family = u16::try_from(libc::AF_INET).unwrap_or_default();
    SockAddrIn { family, port: address.port().to_be_bytes(), host: address.ip().octets(), zero: [0; 8] }.bytes()
}

#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub struct Segment {
    pub bytes: *mut c_void,
    pub length: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub struct SgArray {
    pub handle: *mut c_void,
    pub count: u32,
    pub segment: Segment,
    pub address: SockAddrIn,
}

impl SgArray {
    pub const EMPTY: Self = Self {
        handle: std::ptr::null_mut(),
        count: 0,
        segment: Segment { bytes: std::ptr::null_mut(), length: 0 },
        address: SockAddrIn::EMPTY,
    };
}

#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub struct Accepted {
    pub qd: i32,
    pub address: SockAddrIn,
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub union Value {
    pub sga: SgArray,
    pub accepted: Accepted,
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct QResult {
    pub opcode: i32,
    pub qd: i32,
    pub token: u64,
    pub ret: i64,
    pub value: Value,
}

#[repr(C, packed)]
pub struct Args {
    pub argc: c_int,
    pub argv: *const *const c_char,
    pub log: *const c_void,
}

const _: () = {
    assert!(size_of::<Segment>() == 12);
    assert!(size_of::<SgArray>() == 40);
    assert!(size_of::<Accepted>() == 20);
    assert!(size_of::<QResult>() == 64);
    assert!(size_of::<Args>() == 20);
};
