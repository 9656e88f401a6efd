// SPDX-License-Identifier: MIT
//! A socket and its states.

use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use queue::{Config, OptionName, SocketOption};
use shm::End;

use crate::port::{Listener, Port};

/// A stream socket. Field order is drop order: a connection goes before the port that its name needs.
pub struct Socket {
    pub state: State,
    pub port: Option<Rc<Port>>,
    pub options: Options,
}

/// Where a socket stands.
pub enum State {
    Idle,
    Listening,
    /// Not in the listener's backlog yet.
    Calling {
        listener: Listener,
        remote: SocketAddrV4,
        end: End,
    },
    Connected(Connection),
}

/// An established connection.
pub struct Connection {
    pub end: End,
    pub peer: SocketAddrV4,
    /// Who should accept it, until that happened, and when it was last seen alive.
    pub awaited: Option<(Listener, u64)>,
}

/// What `setsockopt` set. Nothing is delayed and nothing is lost here, so only `SO_LINGER` has an effect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub linger: Option<Duration>,
    keep_alive: bool,
    no_delay: bool,
}

impl Options {
    pub fn new(config: &Config) -> Options {
        Options {
            linger: config.tcp.linger.flatten(),
            keep_alive: config.tcp.keep_alive.is_some_and(|given| given.enabled),
            no_delay: config.tcp.no_delay.unwrap_or(false),
        }
    }

    pub fn set(&mut self, option: SocketOption) {
        match option {
            SocketOption::Linger(linger) => self.linger = linger,
            SocketOption::KeepAlive(on) => self.keep_alive = on,
            SocketOption::NoDelay(on) => self.no_delay = on,
        }
    }

    pub fn get(&self, name: OptionName) -> SocketOption {
        match name {
            OptionName::Linger => SocketOption::Linger(self.linger),
            OptionName::KeepAlive => SocketOption::KeepAlive(self.keep_alive),
            OptionName::NoDelay => SocketOption::NoDelay(self.no_delay),
        }
    }
}

impl Socket {
    pub fn new(options: Options) -> Socket {
        Socket { state: State::Idle, port: None, options }
    }
}
