// SPDX-License-Identifier: MIT
//! The client pushes, the server pops and checks every byte, over TCP or pipes.

use crate::engine::{Engine, Result};
use crate::report::Report;
use crate::workload::way::Way;
use crate::workload::{Options, Role};

const STREAM: u64 = 1;

pub fn run(engine: &mut Engine, options: &Options, report: &mut Report) -> Result<()> {
    let way = Way::open(engine, options)?;
    report.connections = 1;
    match options.role() {
        Role::Client(_) => {
            for _ in 0..options.requests {
                way.send(engine, STREAM, options.size(), report)?;
            }
            if way.push == way.pop {
                way.close(engine)
            } else {
                way.await_end(engine)?; // a pipe may go with its maker: the server has all when it closes
                way.close(engine)
            }
        }
        Role::Server(_) => {
            way.receive(engine, STREAM, options.requests, options.size(), report)?;
            if way.push == way.pop {
                way.await_end(engine)?;
            }
            way.close(engine)
        }
    }
}
