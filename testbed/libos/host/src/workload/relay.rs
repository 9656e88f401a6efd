// SPDX-License-Identifier: MIT
//! A relay: each connection that is accepted is carried on to another address, in both directions, until one side ends.

use crate::engine::{Done, Engine, Failure, Result, Transport};
use crate::report::Report;
use crate::workload::{address, Options, Role};

/// What a token is about; `way` is an index of the relay's connections, `end` 0 for the one that was accepted.
#[derive(Clone, Copy)]
enum Pending {
    Accept,
    Connect { way: usize },
    Pop { way: usize, end: usize },
    Push { way: usize, end: usize },
}

impl Pending {
    fn way(self) -> Option<usize> {
        match self {
            Pending::Accept => None,
            Pending::Connect { way } | Pending::Pop { way, .. } | Pending::Push { way, .. } => Some(way),
        }
    }
}

struct Way {
    ends: [i32; 2],
    open: bool,
}

pub fn run(engine: &mut Engine, options: &Options, report: &mut Report) -> Result<()> {
    let Role::Server(place) = options.role() else {
        return Err(Failure::wrong("relay is a server: give --server and --to"));
    };
    let to = options.to.ok_or_else(|| Failure::wrong("relay needs --to ADDRESS:PORT"))?;
    let listener = engine.listen(address(place)?, options.clients.max(16))?;
    let mut waiting = vec![(engine.accept(listener)?, Pending::Accept)];
    options.ready()?;
    let mut ways: Vec<Way> = Vec::new();
    let mut ended = 0;
    while options.clients == 0 || ended < options.clients {
        let tokens: Vec<u64> = waiting.iter().map(|(token, _)| *token).collect();
        let (index, done) = engine.wait_any(&tokens)?;
        let (_, pending) = waiting.swap_remove(index);
        if pending.way().is_some_and(|way| !ways[way].open) {
            continue; // it was done, or is cancelled, when the other side had ended: nothing to carry on
        }
        match (pending, done) {
            (Pending::Accept, done) => {
                let accepted = done.accepted()?;
                let out = options.client_socket(engine, &Transport::Tcp)?;
                ways.push(Way { ends: [accepted, out], open: true });
                report.connections += 1;
                waiting.push((engine.connect(out, to)?, Pending::Connect { way: ways.len() - 1 }));
                if report.connections != u64::from(options.clients) {
                    waiting.push((engine.accept(listener)?, Pending::Accept));
                }
            }
            (Pending::Connect { way }, Done::Connected) => {
                for end in 0..2 {
                    waiting.push((engine.pop(ways[way].ends[end])?, Pending::Pop { way, end }));
                }
            }
            (Pending::Pop { way, end }, Done::Popped(buffer)) if !buffer.bytes().is_empty() => {
                report.received += 1;
                report.received_bytes += buffer.bytes().len() as u64;
                report.sent_bytes += buffer.bytes().len() as u64;
                waiting.push((engine.push_on(ways[way].ends[1 - end], buffer, None)?, Pending::Push { way, end }));
            }
            (Pending::Push { way, end }, Done::Pushed) => {
                report.sent += 1;
                waiting.push((engine.pop(ways[way].ends[end])?, Pending::Pop { way, end }));
            }
            // One side ended, or failed: both are closed; what is pending there comes back cancelled.
            (Pending::Connect { way } | Pending::Pop { way, .. } | Pending::Push { way, .. }, _) => {
                ways[way].open = false;
                for qd in ways[way].ends {
                    engine.close(qd)?;
                }
                ended += 1;
            }
        }
    }
    engine.close(listener)
}
