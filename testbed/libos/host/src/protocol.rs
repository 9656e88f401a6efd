// SPDX-License-Identifier: MIT
//! What the harness asks for, and what it is answered: frames of a `u32` little-endian length and one msgpack map.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Largest frame, bytes.
pub const FRAME_LIMIT: u32 = 64 << 20;

/// What every request has.
#[derive(Deserialize)]
pub struct Envelope {
    pub id: u64,
    /// Names of arguments that are handed over as NULL.
    #[serde(default)]
    pub null: Vec<String>,
}

/// Seconds and nanoseconds, as `struct timespec`: also one that is not valid can be asked for.
pub type Timeout = Option<(i64, i64)>;

#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    Init {
        args: Vec<String>,
    },
    Socket {
        domain: i32,
        kind: i32,
        protocol: i32,
    },
    Bind {
        qd: i32,
        address: ByteBuf,
    },
    Listen {
        qd: i32,
        backlog: i32,
    },
    Accept {
        qd: i32,
    },
    Connect {
        qd: i32,
        address: ByteBuf,
    },
    Close {
        qd: i32,
    },
    /// `source`: `libos` (a buffer of the library's), `heap` (memory of ours), or an array from `sgaalloc` by `sga`.
    Push {
        qd: i32,
        data: ByteBuf,
        source: Source,
        sga: Option<u32>,
        count: Option<u32>,
        address: Option<ByteBuf>,
    },
    Pop {
        qd: i32,
    },
    Setsockopt {
        qd: i32,
        level: i32,
        name: i32,
        value: ByteBuf,
    },
    Getsockopt {
        qd: i32,
        level: i32,
        name: i32,
        size: u32,
    },
    Getpeername {
        qd: i32,
        size: u32,
    },
    Sgaalloc {
        size: u64,
    },
    Sgafree {
        sga: u32,
    },
    Wait {
        token: u64,
        timeout: Timeout,
    },
    WaitAny {
        tokens: Vec<u64>,
        count: Option<i32>,
        timeout: Timeout,
    },
    WaitNextN {
        max: i32,
        timeout: Timeout,
    },
    CreatePipe {
        name: ByteBuf,
    },
    OpenPipe {
        name: ByteBuf,
    },
    /// A further thread, with an engine and a connection of its own.
    Thread {},
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Libos,
    Heap,
}

#[derive(Default, Serialize)]
pub struct Reply {
    pub id: u64,
    /// What the function returned.
    pub errno: i32,
    /// Where it was another function than the one asked for that failed: `demi_sgaalloc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<&'static str>,
    /// The function failed, and changed a result all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wrote: bool,
    /// The function wrote behind the structure: it has another size there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub overran: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qd: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Completion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<Completion>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sga: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
}

/// A `struct demi_qresult`.
#[derive(Serialize)]
pub struct Completion {
    pub opcode: i32,
    pub qd: i32,
    pub token: u64,
    pub ret: i64,
    /// Of a pop: its bytes. They are freed already; `freed` is what `demi_sgafree` returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed: Option<i32>,
    /// Of an accept: the new queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<i32>,
    /// Of a pop or accept: the peer's `struct sockaddr_in`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<ByteBuf>,
}

/// Read one frame; `None` at the end.
pub fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(length);
    if length > FRAME_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body)?;
    Ok(Some(body))
}

/// Write one frame, in one call.
pub fn write(to: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let body = rmp_serde::to_vec_named(reply).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    to.write_all(&frame)
}
