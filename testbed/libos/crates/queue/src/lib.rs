// SPDX-License-Identifier: MIT
//! The queue API of PDPIX (Demikernel, SOSP '21) without any I/O of its own.
//!
//! A flavor implements [`IoPath`]; an [`Engine`] over it owns descriptors, tokens, the order of operations, time-outs
//! and results. There is no unsafe code here and no clock but `Instant::now` in the engine's waits.
#![forbid(unsafe_code)]

mod buffer;
mod config;
mod descriptor;
mod engine;
mod errno;
mod operation;
mod path;
mod wait;

pub use buffer::{Buffer, Offer, Pool};
pub use config::{Config, InetConfig, KeepAlive, TcpOptions};
pub use engine::Engine;
pub use errno::Errno;
pub use operation::{Completion, Outcome, Token};
pub use path::{IoPath, OptionName, SocketKind, SocketOption};
