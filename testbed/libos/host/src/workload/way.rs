// SPDX-License-Identifier: MIT
//! A way for bytes in both directions: a TCP connection, or two pipes.

use crate::engine::{Engine, Failure, Result, Transport};
use crate::pattern;
use crate::report::Report;
use crate::workload::{address, Name, Options, Role};

/// Queues to push into and to pop from; a connection is both.
pub struct Way {
    pub push: i32,
    pub pop: i32,
}

impl Way {
    /// Meet the peer: the server says that it is ready and waits for it.
    pub fn open(engine: &mut Engine, options: &Options) -> Result<Self> {
        let pipes = matches!(options.name, Name::PipePingPong | Name::PipePushPop);
        match options.role() {
            Role::Server(name) if pipes => {
                let pop = engine.create_pipe(&format!("{name}-up"))?;
                let push = engine.create_pipe(&format!("{name}-down"))?;
                options.ready()?;
                Ok(Self { push, pop })
            }
            Role::Client(name) if pipes => {
                let push = engine.open_pipe(&format!("{name}-up"))?;
                let pop = engine.open_pipe(&format!("{name}-down"))?;
                Ok(Self { push, pop })
            }
            Role::Server(place) => {
                let listener = engine.listen(address(place)?, 16)?;
                let token = engine.accept(listener)?;
                options.ready()?;
                let qd = engine.wait(token)?.accepted()?;
                engine.close(listener)?;
                Ok(Self { push: qd, pop: qd })
            }
            Role::Client(place) => {
                let qd = options.client_socket(engine, &Transport::Tcp)?;
                let token = engine.connect(qd, address(place)?)?;
                engine.wait(token)?.connected()?;
                Ok(Self { push: qd, pop: qd })
            }
        }
    }

    /// Send the next message of a stream and wait until the library has taken it.
    pub fn send(&self, engine: &mut Engine, stream: u64, size: usize, report: &mut Report) -> Result<()> {
        let from = report.sent_bytes;
        let token = engine.push(self.push, size, None, |bytes| pattern::fill(bytes, stream, from))?;
        engine.wait(token)?.pushed()?;
        report.sent += 1;
        report.sent_bytes += size as u64;
        Ok(())
    }

    /// Receive so many messages of a stream, in any pieces, and check each byte.
    pub fn receive(
        &self,
        engine: &mut Engine,
        stream: u64,
        messages: u64,
        size: usize,
        report: &mut Report,
    ) -> Result<()> {
        let until = report.received_bytes + messages * size as u64;
        while report.received_bytes < until {
            let token = engine.pop(self.pop)?;
            let buffer = engine.wait(token)?.popped()?;
            let bytes = buffer.bytes();
            if bytes.is_empty() {
                return Err(Failure::wrong(format!("the peer closed after {} bytes", report.received_bytes)));
            }
            pattern::check(bytes, stream, report.received_bytes)?;
            report.received_bytes += bytes.len() as u64;
        }
        if report.received_bytes > until {
            return Err(Failure::wrong(format!("{} bytes too many", report.received_bytes - until)));
        }
        report.received += messages;
        Ok(())
    }

    /// Wait for the peer to close: no byte may come before.
    pub fn await_end(&self, engine: &mut Engine) -> Result<()> {
        let token = engine.pop(self.pop)?;
        let length = engine.wait(token)?.popped()?.bytes().len();
        if length == 0 {
            Ok(())
        } else {
            Err(Failure::wrong(format!("{length} bytes where the peer should close")))
        }
    }

    pub fn close(&self, engine: &mut Engine) -> Result<()> {
        engine.close(self.push)?;
        if self.pop != self.push {
            engine.close(self.pop)?;
        }
        Ok(())
    }
}
