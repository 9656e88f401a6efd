// SPDX-License-Identifier: MIT
//! Connections that are made and closed, by the client or by the server; the other side sees it and closes, too.

use crate::engine::{Engine, Failure, Result, Transport};
use crate::report::Report;
use crate::workload::{address, Mode, Options, Role, Side};

pub fn run(engine: &mut Engine, options: &Options, report: &mut Report) -> Result<()> {
    match options.role() {
        Role::Server(place) => {
            let listener = engine.listen(address(place)?, options.clients.max(16))?;
            serve(engine, listener, options, report)?;
            engine.close(listener)
        }
        Role::Client(place) => {
            let batch = if options.mode == Mode::Concurrent { options.clients } else { 1 };
            let mut left = options.clients;
            while left > 0 {
                together(engine, place, batch, options, report)?;
                left -= batch;
            }
            Ok(())
        }
    }
}

fn serve(engine: &mut Engine, listener: i32, options: &Options, report: &mut Report) -> Result<()> {
    let mut tokens = vec![engine.accept(listener)?];
    let mut queues = vec![listener];
    options.ready()?;
    let all = u64::from(options.clients);
    let mut ended = 0;
    while ended < all {
        let (index, done) = engine.wait_any(&tokens)?;
        tokens.swap_remove(index);
        let qd = queues.swap_remove(index);
        if qd != listener {
            end(engine, qd, done.popped()?.bytes().len())?;
            ended += 1;
            continue;
        }
        let accepted = done.accepted()?;
        report.connections += 1;
        if report.connections < all {
            tokens.push(engine.accept(listener)?);
            queues.push(listener);
        }
        if options.closes == Side::Server {
            engine.close(accepted)?;
            ended += 1;
        } else {
            tokens.push(engine.pop(accepted)?);
            queues.push(accepted);
        }
    }
    Ok(())
}

/// Make some connections at once, then close all of them, or see them closed.
fn together(engine: &mut Engine, place: &str, count: u32, options: &Options, report: &mut Report) -> Result<()> {
    let mut opened = Vec::new();
    for _ in 0..count {
        let qd = options.client_socket(engine, &Transport::Tcp)?;
        opened.push((qd, engine.connect(qd, address(place)?)?));
    }
    for (_, token) in &opened {
        engine.wait(*token)?.connected()?;
        report.connections += 1;
    }
    for (qd, _) in opened {
        if options.closes == Side::Client {
            engine.close(qd)?;
        } else {
            let token = engine.pop(qd)?;
            let length = engine.wait(token)?.popped()?.bytes().len();
            end(engine, qd, length)?;
        }
    }
    Ok(())
}

fn end(engine: &mut Engine, qd: i32, length: usize) -> Result<()> {
    if length != 0 {
        return Err(Failure::wrong(format!("{length} bytes on a connection that carries none")));
    }
    engine.close(qd)
}
