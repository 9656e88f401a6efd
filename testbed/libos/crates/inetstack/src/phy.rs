// SPDX-License-Identifier: MIT
//! smoltcp's view of the link: one packet in at most, and the outlet.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::device::FrameSender;
use crate::link::Outlet;

/// What smoltcp takes for the largest packet: fragments are made below it, and the MSS is lowered there.
const SMOLTCP_MTU: usize = 65535;

/// A device for one call of smoltcp.
pub struct Phy<'a, 'b, S> {
    pub packet: Option<&'a [u8]>,
    pub outlet: &'a mut Outlet<'b, S>,
}

/// What smoltcp is told of the device.
pub fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ip;
    capabilities.max_transmission_unit = SMOLTCP_MTU;
    capabilities
}

impl<'b, S: FrameSender> Device for Phy<'_, 'b, S> {
    type RxToken<'t>
        = In<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Out<'t, 'b, S>
    where
        Self: 't;

    fn receive(&mut self, _now: Instant) -> Option<(In<'_>, Out<'_, 'b, S>)> {
        let packet = self.packet.take()?;
        Some((In(packet), Out(self.outlet)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Out<'_, 'b, S>> {
        self.outlet.sender.ready().then_some(Out(self.outlet))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

/// The packet that came.
pub struct In<'t>(&'t [u8]);

impl RxToken for In<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

/// Leave for one packet to go.
pub struct Out<'t, 'b, S>(&'t mut Outlet<'b, S>);

impl<S: FrameSender> TxToken for Out<'_, '_, S> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        self.0.emit(length, fill)
    }
}

/// A device that only says what it can, for making an interface before there is one.
pub struct Blueprint;

impl Device for Blueprint {
    type RxToken<'t> = In<'t>;
    type TxToken<'t> = Nowhere;

    fn receive(&mut self, _now: Instant) -> Option<(In<'_>, Nowhere)> {
        None
    }

    fn transmit(&mut self, _now: Instant) -> Option<Nowhere> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

/// Leave that is never given.
pub enum Nowhere {}

impl TxToken for Nowhere {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _length: usize, _fill: F) -> R {
        match self {}
    }
}
