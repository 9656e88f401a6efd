// SPDX-License-Identifier: MIT
//! A port of DPDK as a device of the stack.

use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use inetstack::{FrameDevice, FrameReceiver, FrameSender, Mac, OpenDevice};
use queue::{Config, Errno};

use crate::affinity::Cpus;
use crate::shim::{self, Frame, Port, BURST};
use crate::waiter::Waiter;
use crate::words::words;

/// Frames that wait for the port at most.
const FRAMES: usize = 4 * BURST;

/// A port.
pub struct Dpdk {
    port: Rc<Port>,
    receiver: Receiver,
    sender: Sender,
    waiter: Waiter,
}

impl OpenDevice for Dpdk {
    fn open(config: &Config) -> Result<Self, Errno> {
        let Some(words) = words(&config.dpdk_eal, config.interface.as_deref()) else {
            log::error!("dpdk.eal_init and raw_socket.linux_interface_name are missing; one of them is needed");
            return Err(Errno::EINVAL);
        };
        let refused = |errno: Errno| {
            log::error!("DPDK does not start with {}: {errno}", words.join(" "));
            errno
        };
        let cpus = Cpus::of_this_thread();
        let started = shim::start(&words);
        if let Some(cpus) = cpus {
            cpus.restore();
        }
        let sockets = started.map_err(refused)?;
        let port = Rc::new(Port::open(config.local_mac.is_some()).map_err(refused)?);
        let waiter = Waiter::new(if port.is_raw_socket() { sockets.to_vec() } else { Vec::new() });
        let receiver = Receiver {
            port: Rc::clone(&port),
            frames: Vec::with_capacity(BURST),
            next: 0,
            drained: false,
            came: false,
        };
        let sender = Sender { port: Rc::clone(&port), spare: None, frames: Vec::with_capacity(FRAMES) };
        Ok(Self { port, receiver, sender, waiter })
    }
}

impl FrameDevice for Dpdk {
    type Receiver = Receiver;
    type Sender = Sender;

    fn mac(&self) -> Mac {
        self.port.mac()
    }

    fn mtu(&self) -> usize {
        self.port.mtu()
    }

    fn split(&mut self) -> (&mut Receiver, &mut Sender) {
        (&mut self.receiver, &mut self.sender)
    }

    fn wait(&mut self, limit: Option<Duration>, wake: Option<BorrowedFd<'_>>) {
        if std::mem::take(&mut self.receiver.came) {
            self.waiter.wake();
        }
        self.waiter.wait(limit, wake);
    }
}

/// Received frames.
pub struct Receiver {
    port: Rc<Port>,
    /// Of the last burst; given back when the next one is fetched.
    frames: Vec<Frame>,
    next: usize,
    /// The last burst was all that the port had, which is not asked again for that.
    drained: bool,
    /// Frames came since the last wait.
    came: bool,
}

impl Receiver {
    fn fetch(&mut self) {
        self.frames.clear();
        self.next = 0;
        self.port.receive(&mut self.frames);
        self.came |= !self.frames.is_empty();
        self.drained = !self.frames.is_empty() && self.frames.len() < BURST;
    }
}

impl FrameReceiver for Receiver {
    fn receive(&mut self) -> Option<&[u8]> {
        if self.next == self.frames.len() {
            if std::mem::take(&mut self.drained) {
                return None;
            }
            self.fetch();
        }
        let frame = self.frames.get(self.next)?;
        self.next += 1;
        // A frame in pieces comes from no driver that was not asked for scattered frames; an empty one is nobody's.
        Some(frame.bytes().unwrap_or(&[]))
    }

    fn is_waiting(&mut self) -> bool {
        if self.next == self.frames.len() {
            self.fetch();
        }
        self.next < self.frames.len()
    }
}

/// Frames to send.
pub struct Sender {
    port: Rc<Port>,
    /// The next one to fill.
    spare: Option<Frame>,
    frames: Vec<Frame>,
}

impl FrameSender for Sender {
    fn ready(&mut self) -> bool {
        if self.frames.len() == FRAMES {
            self.flush();
        }
        if self.spare.is_none() {
            self.spare = Frame::take();
        }
        self.frames.len() < FRAMES && self.spare.is_some()
    }

    fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> bool) {
        let Some(mut frame) = self.spare.take() else { return };
        match frame.room(length) {
            Some(room) => {
                if fill(room) {
                    self.frames.push(frame);
                } else {
                    self.spare = Some(frame);
                }
            }
            // The stack sends nothing longer than the MTU, for which every frame has room; but it must not be left waiting.
            None => {
                fill(&mut vec![0; length]);
                self.spare = Some(frame);
            }
        }
    }

    fn flush(&mut self) {
        while !self.frames.is_empty() {
            let before = self.frames.len();
            self.port.send(&mut self.frames);
            if self.frames.len() == before {
                return;
            }
        }
        // Now that the frames are on their way there is time for it.
        if self.spare.is_none() {
            self.spare = Frame::take();
        }
    }
}
