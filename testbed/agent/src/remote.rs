// SPDX-License-Identifier: MIT
//! Sockets that a test on the host holds in a node.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Error, Result};

#[derive(Default)]
pub struct Sockets {
    open: BTreeMap<i64, OwnedFd>,
    last: i64,
}

impl Sockets {
    /// Keep a socket; its number for the host.
    pub fn add(&mut self, fd: OwnedFd) -> i64 {
        self.last += 1;
        self.open.insert(self.last, fd);
        self.last
    }

    pub fn get(&self, sock: i64) -> Result<BorrowedFd<'_>> {
        self.open.get(&sock).map(AsFd::as_fd).ok_or_else(|| unknown(sock))
    }

    pub fn close(&mut self, sock: i64) -> Result<()> {
        self.open.remove(&sock).map(drop).ok_or_else(|| unknown(sock))
    }
}

fn unknown(sock: i64) -> Error {
    Error::usage(format!("no open socket {sock}"))
}
