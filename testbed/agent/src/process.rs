// SPDX-License-Identifier: MIT
//! Processes of the network: what each still owes the host, its output files and its stdin.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use crate::error::{Context, Result};
use crate::rootfs::PRIVATE;
use crate::sys;

/// Output goes to the host in pieces of at most this many bytes.
pub const CHUNK: usize = 256 << 10;

/// A file that takes one stream, and how much of it the host has seen.
pub struct Stream {
    file: File,
    sent: u64,
}

impl Stream {
    /// An unnamed file in the agent's own tmpfs.
    pub fn create() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .custom_flags(libc::O_TMPFILE)
            .mode(0o600)
            .open(PRIVATE)
            .context(|| "a file for output")?;
        Ok(Stream { file, sent: 0 })
    }

    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The next piece that the host has not seen; None where it has seen all.
    pub fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        let waiting = self.file.metadata()?.len().saturating_sub(self.sent);
        if waiting == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; CHUNK.min(usize::try_from(waiting).unwrap_or(CHUNK))];
        let length = self.file.read_at(&mut piece, self.sent)?;
        piece.truncate(length);
        self.sent += length as u64;
        Ok(Some(piece))
    }
}

/// The write end of a stdin pipe and what waits to be written to it.
pub struct Input {
    pipe: OwnedFd,
    waiting: Vec<u8>,
    close_when_empty: bool,
}

impl Input {
    pub fn new(pipe: OwnedFd, waiting: Vec<u8>, close_when_empty: bool) -> Self {
        Input { pipe, waiting, close_when_empty }
    }

    pub fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Add data, and perhaps the end.
    pub fn push(&mut self, data: &[u8], eof: bool) {
        self.waiting.extend_from_slice(data);
        self.close_when_empty |= eof;
    }

    pub fn wants_to_write(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Write what the pipe takes now. False when the pipe is done with: at its end, or nobody reads it any more.
    pub fn advance(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match sys::write(self.pipe.as_fd(), &self.waiting) {
                Ok(n) => drop(self.waiting.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        !self.close_when_empty
    }
}

pub struct Process {
    pub pid: libc::pid_t,
    /// stdout and stderr; gone when the host has all of them after the end.
    pub streams: Option<[Stream; 2]>,
    pub input: Option<Input>,
    /// Raw wait status and end in ns of the network's clock.
    pub ended: Option<(i32, i64)>,
}
