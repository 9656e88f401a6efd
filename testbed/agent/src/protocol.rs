// SPDX-License-Identifier: MIT
//! Requests, events and replies of protocol version 1 (doc/internals.md, sections 3 and 4). Unknown keys are errors.

use std::collections::BTreeMap;
use std::io;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use crate::error::{Error, Result};

/// The one version of the protocol that this agent speaks.
pub const VERSION: u32 = 1;

/// Declares the body of a request: exactly these keys beside `op`.
macro_rules! request {
    ($name:ident { $($field:ident : $type:ty),* $(,)? }) => {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            #[serde(rename = "op")]
            _op: IgnoredAny,
            $(pub $field: $type),*
        }
    };
}

request!(Hello { version: u32, shares: Vec<String> });
request!(Up { plan: Plan });
request!(Start {
    id: i64,
    node: String,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: String,
    stdin: Stdin,
    input: ByteBuf,
    output_limit: u64,
    timeout: Option<i64>,
});
request!(Wait { ids: Vec<i64>, all: bool, timeout: Option<i64> });
request!(Output { id: i64 });
request!(Kill { id: i64, signal: i32, group: bool });
request!(StdinData { id: i64, data: ByteBuf, eof: bool });
request!(Sleep { until: i64 });
request!(Read { node: String, path: String });
request!(Write { node: String, path: String, data: ByteBuf, mode: u32 });
request!(Copy { node: String, path: String, host: ByteBuf, size: u64, mode: u32 });
request!(Await {
    node: String,
    what: String,
    proto: Option<String>,
    port: Option<u16>,
    prefix: Option<String>,
    path: Option<String>,
    timeout: Option<i64>,
});
request!(Socket { node: String, domain: i32, r#type: i32, protocol: i32 });
request!(Bind { sock: i64, addr: ByteBuf });
request!(Connect { sock: i64, addr: ByteBuf, timeout: Option<i64> });
request!(Listen { sock: i64, backlog: i32 });
request!(Accept { sock: i64, timeout: Option<i64> });
request!(Send { sock: i64, data: ByteBuf, addr: Option<ByteBuf>, flags: i32, timeout: Option<i64> });
request!(Recv { sock: i64, max: usize, flags: i32, timeout: Option<i64> });
request!(SetSockOpt { sock: i64, level: i32, name: i32, value: ByteBuf });
request!(GetSockOpt { sock: i64, level: i32, name: i32, max: usize });
request!(SockName { sock: i64 });
request!(Shutdown { sock: i64, how: i32 });
request!(Close { sock: i64 });
request!(Source { sock: i64, size: usize, at: Vec<i64>, addr: Option<ByteBuf> });
request!(Sink { sock: i64 });
request!(TallyOf { sock: i64, of: Role });
request!(Inject { frames: Vec<(i64, usize, usize, Toward, ByteBuf)> });
request!(LinkSet { link: usize, up: Option<bool>, shapes: Option<[Shape; 2]> });
request!(Empty {});

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    Null,
    Pipe,
}

/// Whether an injected frame is delivered `to` the node, or sent as `from` it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Toward {
    To,
    From,
}

/// What a socket does by itself.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Source,
    Sink,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Sink => "sink",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub nodes: Vec<PlanNode>,
    pub links: Vec<PlanLink>,
    pub routes: Vec<PlanRoute>,
    pub rules: Vec<PlanRule>,
    pub capture: Option<PlanCapture>,
    pub settle: i64,
    /// Set where somebody else has made the nodes and the pairs of the links.
    pub made: Option<Made>,
}

/// What somebody else (Mininet) has made in the agent's own namespaces before `up`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The index that interfaces of nodes count from.
    pub first: u32,
    /// Of each node, a process in its network namespace.
    pub pids: Vec<i32>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    Host,
    Router,
    Switch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanNode {
    pub name: String,
    pub kind: NodeKind,
    pub sysctls: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLink {
    pub name: String,
    pub ends: [PlanEnd; 2],
    pub shapes: [Shape; 2],
    pub capture: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEnd {
    pub node: String,
    pub iface: String,
    pub mac: String,
    pub mtu: u32,
    pub addresses: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub rate_bps: Option<u64>,
    pub delay_ns: i64,
    pub jitter_ns: i64,
    pub loss: f64,
    pub reorder: f64,
    pub duplicate: f64,
    pub corrupt: f64,
    pub queue_packets: u32,
    pub seed: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRoute {
    pub node: String,
    pub dst: String,
    pub via: Option<String>,
    pub iface: Option<String>,
    pub metric: Option<u32>,
    pub table: Option<u32>,
    pub src: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRule {
    pub node: String,
    pub from: Option<String>,
    pub to: Option<String>,
    pub table: u32,
    pub priority: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanCapture {
    pub full_bytes: u64,
    pub snaplen: u32,
    pub ring_bytes: u32,
}

/// One request, ready to be served.
#[derive(Debug)]
pub enum Request {
    Hello(Hello),
    Up(Up),
    Spawn(Start),
    Run(Start),
    Wait(Wait),
    Output(Output),
    Kill(Kill),
    Stdin(StdinData),
    Sleep(Sleep),
    Read(Read),
    Write(Write),
    Copy(Copy),
    Await(Await),
    Socket(Socket),
    Bind(Bind),
    Connect(Connect),
    Listen(Listen),
    Accept(Accept),
    Send(Send),
    Recv(Recv),
    SetSockOpt(SetSockOpt),
    GetSockOpt(GetSockOpt),
    GetSockName(SockName),
    GetPeerName(SockName),
    Shutdown(Shutdown),
    Close(Close),
    Source(Source),
    Sink(Sink),
    Tally(TallyOf),
    Inject(Inject),
    Link(LinkSet),
    Down,
    Flush,
}

const OPS: &str =
    "hello, up, spawn, run, wait, output, kill, stdin, sleep, read, write, copy, await, socket, bind, \
                   connect, listen, accept, send, recv, setsockopt, getsockopt, getsockname, getpeername, shutdown, close, \
                   source, sink, tally, inject, link, down, flush";

/// Decode one frame; anything that is not exactly a known request is a `usage` error that names it.
pub fn decode(frame: &[u8]) -> Result<Request> {
    #[derive(Deserialize)]
    struct Head {
        op: String,
    }
    let head: Head = rmp_serde::from_slice(frame)
        .map_err(|e| Error::usage(format!("a request is a map with a string 'op': {e}")))?;
    let op = head.op.as_str();
    Ok(match op {
        "hello" => Request::Hello(body(op, frame)?),
        "up" => Request::Up(body(op, frame)?),
        "spawn" => {
            let start: Start = body(op, frame)?;
            if start.timeout.is_some() {
                return Err(Error::usage("spawn has no 'timeout'; use run, or spawn and wait"));
            }
            Request::Spawn(start)
        }
        "run" => Request::Run(body(op, frame)?),
        "wait" => Request::Wait(body(op, frame)?),
        "output" => Request::Output(body(op, frame)?),
        "kill" => Request::Kill(body(op, frame)?),
        "stdin" => Request::Stdin(body(op, frame)?),
        "sleep" => Request::Sleep(body(op, frame)?),
        "read" => Request::Read(body(op, frame)?),
        "write" => Request::Write(body(op, frame)?),
        "copy" => Request::Copy(body(op, frame)?),
        "await" => Request::Await(body(op, frame)?),
        "socket" => Request::Socket(body(op, frame)?),
        "bind" => Request::Bind(body(op, frame)?),
        "connect" => Request::Connect(body(op, frame)?),
        "listen" => Request::Listen(body(op, frame)?),
        "accept" => Request::Accept(body(op, frame)?),
        "send" => Request::Send(body(op, frame)?),
        "recv" => Request::Recv(body(op, frame)?),
        "setsockopt" => Request::SetSockOpt(body(op, frame)?),
        "getsockopt" => Request::GetSockOpt(body(op, frame)?),
        "getsockname" => Request::GetSockName(body(op, frame)?),
        "getpeername" => Request::GetPeerName(body(op, frame)?),
        "shutdown" => Request::Shutdown(body(op, frame)?),
        "close" => Request::Close(body(op, frame)?),
        "source" => Request::Source(body(op, frame)?),
        "sink" => Request::Sink(body(op, frame)?),
        "tally" => Request::Tally(body(op, frame)?),
        "inject" => Request::Inject(body(op, frame)?),
        "link" => Request::Link(body(op, frame)?),
        "down" => body::<Empty>(op, frame).map(|_| Request::Down)?,
        "flush" => body::<Empty>(op, frame).map(|_| Request::Flush)?,
        other => return Err(Error::usage(format!("no such op '{other}'; valid: {OPS}"))),
    })
}

fn body<'a, T: Deserialize<'a>>(op: &str, frame: &'a [u8]) -> Result<T> {
    rmp_serde::from_slice(frame).map_err(|e| Error::usage(format!("{op}: {e}")))
}

/// What the agent says while it works on a request.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    Exit { id: i64, status: i32, end: i64 },
    Output { id: i64, stream: u8, data: &'a Bytes },
    Capture { link: usize, end: usize, data: &'a Bytes },
    Drops { count: u64 },
    Kernel { log: &'a str, taint: u64 },
}

/// The `ok` of a reply; each request has one of these.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Answer {
    Nothing {},
    Hello { version: u32, release: String, machine: String, capabilities: Vec<&'static str>, agent: &'static str },
    Pid { pid: i32 },
    Done { done: bool },
    DoneIds { done: Vec<i64> },
    Data { data: ByteBuf },
    Sock { sock: i64 },
    Accepted { sock: i64, addr: ByteBuf },
    Sent { sent: usize },
    Received { data: ByteBuf, addr: ByteBuf, flags: i32 },
    Value { value: ByteBuf },
    Addr { addr: ByteBuf },
    Tally(Tally),
}

/// What a source sent or a sink received.
#[derive(Clone, Default, Serialize)]
pub struct Tally {
    /// Datagrams; of a stream, writes or reads.
    pub messages: u64,
    pub bytes: u64,
    /// When the first of them went or came, ns of the network's clock.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// Bytes that the socket did not take when their time had come; they are not sent again.
    pub refused: u64,
    /// Packets of a source whose time has not come.
    pub left: u64,
    /// Connections that a sink accepted, and how many of them ended.
    pub connections: u64,
    pub ended: u64,
    /// The last error of the socket.
    pub errno: Option<i32>,
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: &'static str,
    what: &'a str,
    errno: Option<i32>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Reply<'a> {
    Ok { ok: &'a Answer, now: i64 },
    Err { err: Failure<'a>, now: i64 },
}

/// Append an event as msgpack.
pub fn write_event(event: &Event<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    rmp_serde::encode::write_named(out, event).map_err(|e| io::Error::other(format!("encoding an event: {e}")))
}

/// Append the one reply of a request; `now` in ns on the network's clock.
pub fn write_reply(result: &Result<Answer>, now: i64, out: &mut Vec<u8>) -> io::Result<()> {
    let reply = match result {
        Ok(ok) => Reply::Ok { ok, now },
        Err(e) => Reply::Err { err: Failure { kind: e.kind.word(), what: &e.what, errno: e.errno }, now },
    };
    rmp_serde::encode::write_named(out, &reply).map_err(|e| io::Error::other(format!("encoding a reply: {e}")))
}
