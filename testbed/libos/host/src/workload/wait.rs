// SPDX-License-Identifier: MIT
//! What becomes of an operation that is pending when its queue, or its peer, is closed. The client has the operation.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Done, Engine, Failure, Result, Transport};
use crate::report::Report;
use crate::workload::{address, How, Operation, Options, Role};

/// After this time the peer closes a queue that is popped from; after as much again its close is known.
const AFTER: Duration = Duration::from_millis(200);
/// A push that takes longer is pending: the peer takes nothing any more.
const STUCK: Duration = Duration::from_millis(50);
const CHUNK: usize = 65536;
const MOST_CHUNKS: u32 = 1024;

pub fn run(engine: &mut Engine, options: &Options, report: &mut Report) -> Result<()> {
    match options.role() {
        Role::Server(place) => serve(engine, place, options, report),
        Role::Client(place) => {
            let qd = options.client_socket(engine, &Transport::Tcp)?;
            let token = engine.connect(qd, address(place)?)?;
            engine.wait(token)?.connected()?;
            let connected = engine.now();
            report.connections = 1;
            let token = match options.operation {
                Operation::Pop => engine.pop(qd)?,
                Operation::Push => pending_push(engine, qd, report)?,
            };
            match options.how {
                How::CloseWait => engine.close(qd)?,
                // Nothing but a wait would tell of the peer's close, before which none may begin: so the clock has to.
                How::AsyncCloseWait => {
                    let known = connected + closes_after(options.operation) + AFTER;
                    thread::sleep(known.saturating_duration_since(Instant::now()));
                }
                How::AsyncClosePendingWait => {}
            }
            let done = engine.wait(token)?;
            report.outcome = Some(judge(&done, options)?);
            if options.how != How::CloseWait {
                engine.close(qd)?;
            }
            Ok(())
        }
    }
}

/// How long after it has accepted the peer closes: a push needs its time to be stuck.
fn closes_after(operation: Operation) -> Duration {
    match operation {
        Operation::Pop => AFTER,
        Operation::Push => 10 * AFTER,
    }
}

/// Push until the library can send no more: the peer pops nothing.
fn pending_push(engine: &mut Engine, qd: i32, report: &mut Report) -> Result<u64> {
    for _ in 0..MOST_CHUNKS {
        let token = engine.push(qd, CHUNK, None, |bytes| bytes.fill(1))?;
        match engine.wait_for(token, STUCK)? {
            None => return Ok(token),
            Some(done) => done.pushed()?,
        }
        report.sent += 1;
        report.sent_bytes += CHUNK as u64;
    }
    Err(Failure::wrong(format!("{MOST_CHUNKS} pushes of {CHUNK} bytes completed, and the peer pops nothing")))
}

fn judge(done: &Done, options: &Options) -> Result<String> {
    let own = options.how == How::CloseWait;
    match done {
        Done::Failed(libc::ECANCELED) if own => Ok("ECANCELED".into()),
        Done::Popped(buffer) if !own && buffer.bytes().is_empty() => Ok("end".into()),
        Done::Failed(libc::ECONNRESET) if !own => Ok("ECONNRESET".into()),
        Done::Failed(libc::EPIPE) if !own && options.operation == Operation::Push => Ok("EPIPE".into()),
        Done::Failed(errno) => {
            Err(Failure::wrong(format!("the operation failed with {}", io::Error::from_raw_os_error(*errno))))
        }
        _ => Err(Failure::wrong("the operation completed although its connection was closed")),
    }
}

fn serve(engine: &mut Engine, place: &str, options: &Options, report: &mut Report) -> Result<()> {
    let listener = engine.listen(address(place)?, 16)?;
    let token = engine.accept(listener)?;
    options.ready()?;
    let qd = engine.wait(token)?.accepted()?;
    report.connections = 1;
    if options.how == How::CloseWait && options.operation == Operation::Pop {
        let token = engine.pop(qd)?;
        let _ = engine.wait(token)?.popped()?;
    } else {
        // Nothing is popped: what the client pushes stays.
        let idle = engine.accept(listener)?;
        if engine.wait_for(idle, closes_after(options.operation))?.is_some() {
            return Err(Failure::wrong("a second client"));
        }
    }
    engine.close(qd)?;
    engine.close(listener)
}
