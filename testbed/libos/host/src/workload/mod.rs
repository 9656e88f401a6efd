// SPDX-License-Identifier: MIT
//! Programs for the queue API: one side each of a conversation, for suites and by hand.

mod close;
mod echo;
mod packets;
mod ping_pong;
mod push_pop;
mod relay;
mod wait;
mod way;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::engine::{Engine, Failure, Result, Transport};
use crate::library::Library;
use crate::report::Report;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// The client's requests come back; latency histogram.
    TcpEcho,
    /// Both sides push and pop in turn.
    TcpPingPong,
    UdpPingPong,
    PipePingPong,
    /// One way, every byte checked.
    TcpPushPop,
    UdpPushPop,
    PipePushPop,
    /// Connections made, and closed by one side.
    TcpClose,
    /// What becomes of an operation when its queue, or its peer, is closed.
    TcpWait,
    /// UDP datagrams at a rate.
    Pktgen,
    /// Takes what comes over UDP and counts it.
    Dump,
    /// TCP connections, carried on to another address.
    Relay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Sequential,
    Concurrent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    Push,
    Pop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(clippy::enum_variant_names)] // the words of the command line
pub enum How {
    /// The queue is closed, then the operation waited for.
    CloseWait,
    /// The peer closes; then the operation is waited for.
    AsyncCloseWait,
    /// The peer closes while the operation is waited for.
    AsyncClosePendingWait,
}

/// One side of a workload. Both sides take the same numbers.
#[derive(Args, Clone)]
pub struct Options {
    pub name: Name,
    /// Be the server at ADDRESS:PORT, or at the pipe NAME.
    #[arg(long, value_name = "WHERE", required_unless_present = "client", conflicts_with = "client")]
    pub server: Option<String>,
    /// Be the client of ADDRESS:PORT, or of the pipe NAME.
    #[arg(long, value_name = "WHERE")]
    pub client: Option<String>,
    /// Bytes of a message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub size: u32,
    /// Messages of a client.
    #[arg(long, default_value_t = 1024)]
    pub requests: u64,
    /// Connections in all; 0 on a server is no end.
    #[arg(long, default_value_t = 1)]
    pub clients: u32,
    /// Clients one after the other, or all at once.
    #[arg(long, value_enum, default_value = "sequential")]
    pub mode: Mode,
    /// Threads of the clients, each with an engine of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: u32,
    /// tcp-close: who closes first.
    #[arg(long, value_enum, default_value = "client")]
    pub closes: Side,
    /// tcp-wait: the operation.
    #[arg(long, value_enum, default_value = "pop")]
    pub operation: Operation,
    /// tcp-wait: what happens to it.
    #[arg(long, value_enum, default_value = "close-wait")]
    pub how: How,
    /// pktgen, udp-push-pop: datagrams per second; 0 is as many as go. [default: 1000 of pktgen, else 0]
    #[arg(long)]
    pub rate: Option<u64>,
    /// relay: where to.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub to: Option<SocketAddrV4>,
    /// The client's own address.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub local: Option<SocketAddrV4>,
    /// Longest wait for anything, s.
    #[arg(long, default_value_t = 60.0, value_parser = seconds)]
    pub timeout: f64,
    /// UDP: silence after which a server is at its end, s.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub idle: f64,
    /// UDP: silence after which a client sends again, s.
    #[arg(long, default_value_t = 0.25, value_parser = seconds)]
    pub retry: f64,
    /// A file to make when the peer may start.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Which side of the conversation this is, and where they meet.
pub enum Role<'a> {
    Server(&'a str),
    Client(&'a str),
}

impl Options {
    pub fn role(&self) -> Role<'_> {
        match (&self.server, &self.client) {
            (Some(place), _) => Role::Server(place),
            (None, place) => Role::Client(place.as_deref().unwrap_or_default()),
        }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }

    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// Say that the peer may start: a word on stdout, and the file.
    pub fn ready(&self) -> Result<()> {
        println!("ready");
        let told = std::io::stdout().flush().and_then(|()| self.ready_file.as_ref().map(File::create).transpose());
        told.map(|_| ()).map_err(|error| Failure::wrong(format!("cannot say that it is ready: {error}")))
    }

    /// A TCP socket of a client; bound where an own address is asked for.
    pub fn client_socket(&self, engine: &Engine, transport: &Transport) -> Result<i32> {
        match self.local {
            Some(local) => engine.bound(transport, local),
            None => engine.socket(transport),
        }
    }
}

/// Run one side; print its report.
///
/// # Errors
/// It failed; the report says so, too.
pub fn run(library: Library, options: &Options) -> Result<()> {
    let started = Instant::now();
    let workload = options.name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let role = if options.server.is_some() { "server" } else { "client" };
    let mut report = Report { workload, role, ..Report::default() };
    let done = dispatch(library, options, &mut report);
    report.error = done.as_ref().err().map(ToString::to_string);
    let done = done.map_err(|mut failure| {
        report.pending = failure.late.take();
        failure
    });
    report.finish(started.elapsed());
    done
}

fn dispatch(library: Library, options: &Options, report: &mut Report) -> Result<()> {
    if options.name == Name::TcpEcho {
        return echo::run(library, options, report); // which has threads
    }
    let engine = &mut Engine::new(library, options.timeout())?;
    match options.name {
        Name::TcpEcho => Ok(()),
        Name::TcpPingPong | Name::PipePingPong => ping_pong::run(engine, options, report),
        Name::TcpPushPop | Name::PipePushPop => push_pop::run(engine, options, report),
        Name::UdpPingPong | Name::UdpPushPop | Name::Pktgen | Name::Dump => packets::run(engine, options, report),
        Name::TcpClose => close::run(engine, options, report),
        Name::TcpWait => wait::run(engine, options, report),
        Name::Relay => relay::run(engine, options, report),
    }
}

/// Read an address.
pub fn address(place: &str) -> Result<SocketAddrV4> {
    place.parse().map_err(|_| Failure::wrong(format!("{place:?} is no ADDRESS:PORT, such as 10.0.1.2:80")))
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1e9).contains(&value) => Ok(value),
        _ => Err("wanted a number of seconds".into()),
    }
}
