// SPDX-License-Identifier: MIT
//! Both sides push and pop in turn, over TCP or pipes.

use crate::engine::{Engine, Result};
use crate::report::Report;
use crate::workload::way::Way;
use crate::workload::{Options, Role};

const UP: u64 = 1;
const DOWN: u64 = 2;

pub fn run(engine: &mut Engine, options: &Options, report: &mut Report) -> Result<()> {
    let way = Way::open(engine, options)?;
    report.connections = 1;
    let size = options.size();
    for _ in 0..options.requests {
        match options.role() {
            Role::Client(_) => {
                let since = engine.now();
                way.send(engine, UP, size, report)?;
                way.receive(engine, DOWN, 1, size, report)?;
                report.time(since, engine.now());
            }
            Role::Server(_) => {
                way.receive(engine, UP, 1, size, report)?;
                way.send(engine, DOWN, size, report)?;
            }
        }
    }
    if matches!(options.role(), Role::Server(_)) {
        way.await_end(engine)?;
    }
    way.close(engine)
}
