// SPDX-License-Identifier: MIT
//! The echo: a server that pushes on what it pops, and clients that send and get it back, byte by byte the same.

use std::thread;
use std::time::Instant;

use crate::engine::{Done, Engine, Failure, Result, Transport};
use crate::library::Library;
use crate::pattern;
use crate::report::Report;
use crate::workload::{address, Mode, Options, Role};

pub fn run(library: Library, options: &Options, report: &mut Report) -> Result<()> {
    match options.role() {
        Role::Server(place) => serve(&mut Engine::new(library, options.timeout())?, place, options, report),
        Role::Client(place) => ask(library, place, options, report),
    }
}

enum Pending {
    Accept,
    Pop(i32),
    Push(i32),
}

fn serve(engine: &mut Engine, place: &str, options: &Options, report: &mut Report) -> Result<()> {
    let listener = engine.listen(address(place)?, options.clients.max(16))?;
    let mut tokens = vec![engine.accept(listener)?];
    let mut pending = vec![Pending::Accept];
    options.ready()?;
    let mut ended = 0;
    while options.clients == 0 || ended < u64::from(options.clients) {
        let (index, done) = engine.wait_any(&tokens)?;
        tokens.swap_remove(index);
        match pending.swap_remove(index) {
            Pending::Accept => {
                let qd = done.accepted()?;
                report.connections += 1;
                tokens.push(engine.pop(qd)?);
                pending.push(Pending::Pop(qd));
                if report.connections != u64::from(options.clients) {
                    tokens.push(engine.accept(listener)?);
                    pending.push(Pending::Accept);
                }
            }
            Pending::Pop(qd) => {
                let buffer = done.popped()?;
                if buffer.bytes().is_empty() {
                    engine.close(qd)?;
                    ended += 1;
                    continue;
                }
                report.received += 1;
                report.received_bytes += buffer.bytes().len() as u64;
                report.sent_bytes += buffer.bytes().len() as u64;
                tokens.push(engine.push_on(qd, buffer, None)?);
                pending.push(Pending::Push(qd));
            }
            Pending::Push(qd) => {
                done.pushed()?;
                report.sent += 1;
                tokens.push(engine.pop(qd)?);
                pending.push(Pending::Pop(qd));
            }
        }
    }
    engine.close(listener)
}

/// Share the clients out to threads; each has an engine of its own.
fn ask(library: Library, place: &str, options: &Options, report: &mut Report) -> Result<()> {
    let (clients, threads) = (u64::from(options.clients), u64::from(options.threads));
    if threads > clients {
        return Err(Failure::wrong(format!("{threads} threads have nothing to do with {clients} clients")));
    }
    let parts = (0..threads).map(|number| (number * clients / threads)..((number + 1) * clients / threads));
    let run = |part: std::ops::Range<u64>| {
        let mut mine = Report::default();
        let done = Engine::new(library, options.timeout())
            .and_then(|mut engine| Clients { engine: &mut engine, place, options, report: &mut mine }.run(part));
        (mine, done)
    };
    let done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = parts.map(|part| scope.spawn(|| run(part))).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut outcome = Ok(());
    for part in done {
        let (mine, result) = part.map_err(|_| Failure::wrong("a thread panicked"))?;
        report.add(&mine);
        outcome = outcome.and(result);
    }
    outcome
}

/// The clients of one thread.
struct Clients<'a> {
    engine: &'a mut Engine,
    place: &'a str,
    options: &'a Options,
    report: &'a mut Report,
}

/// One connection: how far it has come.
struct Client {
    stream: u64,
    qd: i32,
    requests: u64,
    /// Bytes of the whole stream that came back.
    received: u64,
    since: Instant,
}

impl Clients<'_> {
    fn run(&mut self, streams: std::ops::Range<u64>) -> Result<()> {
        match self.options.mode {
            Mode::Concurrent => self.together(streams),
            Mode::Sequential => {
                for stream in streams {
                    self.together(stream..stream + 1)?;
                }
                Ok(())
            }
        }
    }

    /// Run some clients at once.
    fn together(&mut self, streams: std::ops::Range<u64>) -> Result<()> {
        let mut clients = Vec::new();
        let mut tokens = Vec::new();
        for stream in streams {
            let qd = self.options.client_socket(self.engine, &Transport::Tcp)?;
            tokens.push(self.engine.connect(qd, address(self.place)?)?);
            clients.push(Client { stream, qd, requests: 0, received: 0, since: self.engine.now() });
        }
        while !tokens.is_empty() {
            let (index, done) = self.engine.wait_any(&tokens)?;
            match self.step(&mut clients[index], done)? {
                Some(next) => tokens[index] = next,
                None => {
                    tokens.swap_remove(index);
                    clients.swap_remove(index);
                }
            }
        }
        Ok(())
    }

    /// Go on after what a client waited for; gives its next token, or `None` at its end.
    fn step(&mut self, client: &mut Client, done: Done) -> Result<Option<u64>> {
        let size = self.options.size() as u64;
        match done {
            Done::Connected => {
                self.report.connections += 1;
                client.since = self.engine.now();
            }
            Done::Pushed => return self.engine.pop(client.qd).map(Some),
            Done::Popped(buffer) => {
                let bytes = buffer.bytes();
                if bytes.is_empty() {
                    return Err(Failure::wrong(format!("the server closed after {} bytes", client.received)));
                }
                pattern::check(bytes, client.stream, client.received)?;
                client.received += bytes.len() as u64;
                self.report.received_bytes += bytes.len() as u64;
                if client.received < client.requests * size {
                    return self.engine.pop(client.qd).map(Some);
                }
                self.report.received += 1;
                let since = std::mem::replace(&mut client.since, self.engine.now());
                self.report.time(since, client.since);
            }
            Done::Accepted(_) => return Err(Failure::wrong("an accept completed that nobody started")),
            Done::Failed(errno) => return Err(Failure::of(format!("client {}", client.stream), errno)),
        }
        if client.requests == self.options.requests {
            self.engine.close(client.qd)?;
            return Ok(None);
        }
        let (stream, from) = (client.stream, client.requests * size);
        client.requests += 1;
        self.report.sent += 1;
        self.report.sent_bytes += size;
        self.engine.push(client.qd, self.options.size(), None, |bytes| pattern::fill(bytes, stream, from)).map(Some)
    }
}
