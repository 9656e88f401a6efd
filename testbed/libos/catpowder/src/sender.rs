// SPDX-License-Identifier: MIT
//! Sending: frames are gathered and handed to the kernel by one sendmmsg(2).
//!
//! No `PACKET_TX_RING`: over a veth the kernel copies its frames all the same (since Linux 4.20, `skb_orphan_frags`; before, a slot was
//! free while its frame was still being read), so it would save nothing.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use inetstack::{FrameSender, ETHERNET_HEADER_BYTES};

/// Frames that are gathered at most.
const FRAMES: usize = 64;

/// Frames on their way into the kernel.
pub struct Sender {
    socket: Rc<OwnedFd>,
    frame_bytes: usize,
    frames: Vec<u8>,
    lengths: [usize; FRAMES],
    /// Those before are sent.
    first: usize,
    /// Those from here on are free.
    end: usize,
}

impl Sender {
    pub fn new(socket: Rc<OwnedFd>, mtu: usize) -> Self {
        let frame_bytes = (mtu + ETHERNET_HEADER_BYTES).next_multiple_of(64);
        Self { socket, frame_bytes, frames: vec![0; FRAMES * frame_bytes], lengths: [0; FRAMES], first: 0, end: 0 }
    }

    /// Frames are left that the kernel had no room for.
    pub fn is_stuck(&self) -> bool {
        self.first < self.end
    }

    /// Hands as many frames over as the kernel takes; says how many, or why none.
    fn hand_over(&self) -> io::Result<usize> {
        let fd = self.socket.as_raw_fd();
        let frame = |at: usize| &self.frames[at * self.frame_bytes..][..self.lengths[at]];
        if self.end - self.first == 1 {
            let frame = frame(self.first);
            // SAFETY: the pointer and the length are those of `frame`, which outlives the call.
            let sent = unsafe { libc::send(fd, frame.as_ptr().cast(), frame.len(), libc::MSG_DONTWAIT) };
            return if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(1) };
        }
        // SAFETY: all zero is a valid `iovec` and `mmsghdr`: no bytes.
        let (mut pieces, mut messages): ([libc::iovec; FRAMES], [libc::mmsghdr; FRAMES]) = unsafe { mem::zeroed() };
        let mut count = 0;
        for at in self.first..self.end {
            let frame = frame(at);
            pieces[count] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            messages[count].msg_hdr.msg_iov = &raw mut pieces[count];
            messages[count].msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        // At most FRAMES.
        let number = count as libc::c_uint;
        // SAFETY: so many messages, each with one piece, which lies in `frames`; sending only reads it.
        let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), number, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl FrameSender for Sender {
    fn ready(&mut self) -> bool {
        if self.end == FRAMES {
            self.flush();
        }
        self.end < FRAMES
    }

    fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> bool) {
        let frame = &mut self.frames[self.end * self.frame_bytes..][..length];
        if fill(frame) {
            self.lengths[self.end] = length;
            self.end += 1;
        }
    }

    fn flush(&mut self) {
        while self.first < self.end {
            match self.hand_over() {
                Ok(count) => self.first += count,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // No room: later.
                    Some(libc::EAGAIN | libc::ENOBUFS) => return,
                    // The interface is down or gone, or will not take this frame: it is lost, as on a wire.
                    _ => {
                        log::debug!("a frame of {} bytes was not sent: {error}", self.lengths[self.first]);
                        self.first += 1;
                    }
                },
            }
        }
        (self.first, self.end) = (0, 0);
    }
}
