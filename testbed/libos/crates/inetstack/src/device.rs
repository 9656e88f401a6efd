// SPDX-License-Identifier: MIT
//! What the stack asks of the thing that carries its frames.

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Length of an Ethernet header without VLAN tag, bytes (IEEE 802.3).
pub const ETHERNET_HEADER_BYTES: usize = 14;

/// A hardware address.
pub type Mac = [u8; 6];

/// The receiving half of a device.
pub trait FrameReceiver {
    /// Gives the next frame, from its Ethernet header on and without FCS, or nothing when none is waiting.
    ///
    /// Checksums in it are complete: a device whose peer leaves them to hardware completes them first.
    /// The bytes are valid until the next call.
    fn receive(&mut self) -> Option<&[u8]>;

    /// Says whether a frame is waiting.
    fn is_waiting(&mut self) -> bool;
}

/// The sending half of a device.
pub trait FrameSender {
    /// Says whether there is room for one more frame.
    fn ready(&mut self) -> bool;

    /// Lets `fill` write a frame of `length` bytes; sends it when `fill` says so, forgets it otherwise.
    ///
    /// Called only after [`FrameSender::ready`] said yes. The frame may stay with the device until
    /// [`FrameSender::flush`].
    fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> bool);

    /// Hands everything sent so far to the wire.
    fn flush(&mut self);
}

/// A network interface that carries whole Ethernet frames.
pub trait FrameDevice {
    /// Its receiving half.
    type Receiver: FrameReceiver;
    /// Its sending half.
    type Sender: FrameSender;

    /// The interface's own hardware address.
    fn mac(&self) -> Mac;

    /// The largest IP packet that fits into a frame, bytes.
    fn mtu(&self) -> usize;

    /// Both halves: a frame is answered while it is still being looked at.
    fn split(&mut self) -> (&mut Self::Receiver, &mut Self::Sender);

    /// Blocks until a frame may have come or `wake` can be read, at most `limit` long (for ever without one).
    fn wait(&mut self, limit: Option<Duration>, wake: Option<BorrowedFd<'_>>);
}
