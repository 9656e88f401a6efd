// SPDX-License-Identifier: MIT
//! What stands for a port where the flavor was built without DPDK: it cannot be opened.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use inetstack::{FrameDevice, FrameReceiver, FrameSender, Mac, OpenDevice};
use queue::{Config, Errno};

/// No port.
pub enum Dpdk {}

impl OpenDevice for Dpdk {
    fn open(_config: &Config) -> Result<Self, Errno> {
        log::error!("built without DPDK: the package libdpdk-dev was not installed");
        Err(Errno::ENODEV)
    }
}

impl FrameDevice for Dpdk {
    type Receiver = Self;
    type Sender = Self;

    fn mac(&self) -> Mac {
        match *self {}
    }

    fn mtu(&self) -> usize {
        match *self {}
    }

    fn split(&mut self) -> (&mut Self, &mut Self) {
        match *self {}
    }

    fn wait(&mut self, _limit: Option<Duration>, _wake: Option<BorrowedFd<'_>>) {
        match *self {}
    }
}

impl FrameReceiver for Dpdk {
    fn receive(&mut self) -> Option<&[u8]> {
        match *self {}
    }

    fn is_waiting(&mut self) -> bool {
        match *self {}
    }
}

impl FrameSender for Dpdk {
    fn ready(&mut self) -> bool {
        match *self {}
    }

    fn send(&mut self, _length: usize, _fill: impl FnOnce(&mut [u8]) -> bool) {
        match *self {}
    }

    fn flush(&mut self) {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_dpdk_there_is_no_device() {
        assert_eq!(Dpdk::open(&Config::default()).err(), Some(Errno::ENODEV));
    }
}
