// SPDX-License-Identifier: MIT
//! A small builder of netlink messages, and a socket that sends many of them with one system call (netlink(7)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Context, Error, Result};
use crate::sys;

pub const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
pub const NLM_F_DUMP: u16 = 0x300;
pub const NLM_F_REPLACE: u16 = 0x100;
pub const NLM_F_EXCL: u16 = 0x200;
pub const NLM_F_CREATE: u16 = 0x400;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const HEADER: usize = 16;
/// A batch goes out in pieces of about this many bytes: well below the socket's send buffer.
const PIECE: usize = 96 << 10;

/// Messages for one socket, and what each of them is for, in words.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Start of each message in `bytes`.
    starts: Vec<usize>,
    steps: Vec<String>,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Add a message; `fill` appends its fixed header and attributes.
    pub fn add(&mut self, kind: u16, flags: u16, step: impl Into<String>, fill: impl FnOnce(&mut Tlv<'_>)) {
        let start = self.bytes.len();
        self.starts.push(start);
        self.steps.push(step.into());
        self.bytes.extend_from_slice(&[0; HEADER]);
        fill(&mut Tlv { bytes: &mut self.bytes });
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[start + 6..start + 8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    }

    /// Ask for the acknowledgement of one message; errors come back in any case.
    fn want_ack(&mut self, index: usize) {
        let at = self.starts[index] + 6;
        let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | NLM_F_ACK;
        self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
    }

    fn number(&mut self, first: u32) {
        for (index, &start) in self.starts.iter().enumerate() {
            let seq = first.wrapping_add(index as u32);
            self.bytes[start + 8..start + 12].copy_from_slice(&seq.to_ne_bytes());
        }
    }
}

/// Appends a message's parts: fixed structs, attributes, nests of attributes.
pub struct Tlv<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Tlv<'_> {
    /// Fixed bytes (a struct of the protocol), already a multiple of 4 long.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.align()
    }

    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.align()
    }

    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    pub fn u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// A string with its NUL.
    pub fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// An attribute that holds what `fill` appends.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Tlv<'_>)) -> &mut Self {
        self.nest_raw(kind | NLA_F_NESTED, fill)
    }

    /// As `nest`, for attributes that start with a struct and must not carry the nested flag.
    pub fn nest_raw(&mut self, kind: u16, fill: impl FnOnce(&mut Tlv<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        fill(&mut Tlv { bytes: self.bytes });
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.align()
    }

    fn align(&mut self) -> &mut Self {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
        self
    }
}

/// Walk the attributes of a payload: (type without flags, value).
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// One message that came back.
pub struct Message {
    pub kind: u16,
    flags: u16,
    seq: u32,
    pub payload: Vec<u8>,
}

/// A netlink socket; it stays in the network namespace that it was opened in.
pub struct Netlink {
    fd: OwnedFd,
    seq: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Open a socket of a protocol (NETLINK_ROUTE, ...) in the current namespace.
    pub fn open(protocol: i32) -> io::Result<Self> {
        const SOL_NETLINK: i32 = 270;
        let fd = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            // Older kernels answer without the text: nothing else is lost.
            let _ = sys::setsockopt(fd.as_fd(), SOL_NETLINK, option, &1_i32.to_ne_bytes());
        }
        Ok(Netlink { fd, seq: 1, buffer: Vec::new() })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Send all messages, in pieces; the first that fails is named by its step, with the kernel's own words.
    pub fn run(&mut self, mut batch: Batch) -> Result<()> {
        let count = batch.starts.len();
        let first = self.seq;
        batch.number(first);
        self.seq = self.seq.wrapping_add(count as u32);
        let mut from = 0;
        while from < count {
            let begin = batch.starts[from];
            let to = (from + 1..count).find(|&i| batch.starts[i] - begin > PIECE).unwrap_or(count);
            batch.want_ack(to - 1);
            let end = batch.starts.get(to).copied().unwrap_or(batch.bytes.len());
            sys::sendto(self.fd(), &batch.bytes[begin..end], 0, None).context(|| &batch.steps[from])?;
            self.await_ack(&batch.steps, first, first.wrapping_add(to as u32 - 1))?;
            from = to;
        }
        Ok(())
    }

    /// Read until the acknowledgement of `last`; remember the first error on the way.
    fn await_ack(&mut self, steps: &[String], first: u32, last: u32) -> Result<()> {
        let mut failed = None;
        loop {
            for message in self.receive()? {
                if message.kind != NLMSG_ERROR {
                    continue;
                }
                let index = message.seq.wrapping_sub(first) as usize;
                let Some(step) = steps.get(index) else { continue };
                if let Some(error) = parse_error(&message, step) {
                    failed.get_or_insert(error);
                }
                if message.seq == last {
                    return failed.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Ask for one thing and give the message that tells of it.
    pub fn ask(&mut self, kind: u16, step: &str, fill: impl FnOnce(&mut Tlv<'_>)) -> Result<Message> {
        let seq = self.request(kind, 0, step, fill)?;
        loop {
            for message in self.receive()?.into_iter().filter(|m| m.seq == seq) {
                if message.kind != NLMSG_ERROR {
                    return Ok(message);
                }
                if let Some(error) = parse_error(&message, step) {
                    return Err(error);
                }
            }
        }
    }

    /// Ask for a table and give all its messages.
    pub fn dump(&mut self, kind: u16, step: &str, fill: impl FnOnce(&mut Tlv<'_>)) -> Result<Vec<Message>> {
        let seq = self.request(kind, NLM_F_DUMP, step, fill)?;
        let mut all = Vec::new();
        loop {
            for message in self.receive()?.into_iter().filter(|m| m.seq == seq) {
                match message.kind {
                    NLMSG_DONE => return Ok(all),
                    NLMSG_ERROR => {
                        return match parse_error(&message, step) {
                            Some(error) => Err(error),
                            None => Ok(all),
                        }
                    }
                    _ => all.push(message),
                }
            }
        }
    }

    /// Send one request; its number.
    fn request(&mut self, kind: u16, flags: u16, step: &str, fill: impl FnOnce(&mut Tlv<'_>)) -> Result<u32> {
        let mut batch = Batch::new();
        batch.add(kind, flags, step, fill);
        let seq = self.seq;
        batch.number(seq);
        self.seq = self.seq.wrapping_add(1);
        sys::sendto(self.fd(), &batch.bytes, 0, None).context(|| step)?;
        Ok(seq)
    }

    /// One datagram's messages.
    fn receive(&mut self) -> Result<Vec<Message>> {
        self.buffer.resize(64 << 10, 0);
        let length = sys::read(self.fd.as_fd(), &mut self.buffer).context(|| "netlink")?;
        let mut rest = &self.buffer[..length];
        let mut messages = Vec::new();
        while let (Some(size), Some(kind), Some(flags), Some(seq)) =
            (u32_at(rest, 0), u16_at(rest, 4), u16_at(rest, 6), u32_at(rest, 8))
        {
            let size = size as usize;
            let Some(payload) = rest.get(HEADER..size) else { break };
            messages.push(Message { kind, flags, seq, payload: payload.to_vec() });
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Ok(messages)
    }
}

/// The error in an NLMSG_ERROR message; None where it is an acknowledgement.
fn parse_error(message: &Message, step: &str) -> Option<Error> {
    let code = u32_at(&message.payload, 0)? as i32;
    if code == 0 {
        return None;
    }
    let mut error = Error::os(step, &io::Error::from_raw_os_error(-code));
    if message.flags & NLM_F_ACK_TLVS != 0 {
        let mut skip = 4 + HEADER;
        if message.flags & NLM_F_CAPPED == 0 {
            skip = 4 + (u32_at(&message.payload, 4)? as usize).next_multiple_of(4);
        }
        let tail = message.payload.get(skip..).unwrap_or(&[]);
        for (kind, value) in attributes(tail) {
            if kind == NLMSGERR_ATTR_MSG {
                let text = String::from_utf8_lossy(value);
                error.what.push_str(&format!(" ({})", text.trim_end_matches('\0')));
            }
        }
    }
    Some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(fill: impl FnOnce(&mut Tlv<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        fill(&mut Tlv { bytes: &mut bytes });
        bytes
    }

    #[test]
    fn attributes_are_padded_but_their_length_is_not() {
        let bytes = bytes_of(|t| {
            t.string(3, "eth0").u32(4, 7);
        });
        assert_eq!(bytes, [9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, 8, 0, 4, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn a_nest_counts_what_it_holds() {
        let bytes = bytes_of(|t| {
            t.nest(18, |n| {
                n.put(1, b"veth");
            });
        });
        assert_eq!(bytes, [12, 0, 18, 0x80, 8, 0, 1, 0, b'v', b'e', b't', b'h']);
        let (kind, inner) = attributes(&bytes).next().unwrap();
        assert_eq!((kind, attributes(inner).next().unwrap()), (18, (1, &b"veth"[..])));
    }

    #[test]
    fn a_truncated_attribute_ends_the_walk() {
        assert_eq!(attributes(&[12, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attributes(&[2, 0, 1, 0]).count(), 0);
    }

    #[test]
    fn messages_are_numbered_and_sized() {
        let mut batch = Batch::new();
        batch.add(16, 0, "one", |t| {
            t.raw(&[1; 4]);
        });
        batch.add(17, NLM_F_CREATE, "two", |_| {});
        batch.number(9);
        batch.want_ack(1);
        assert_eq!(batch.bytes.len(), 36);
        assert_eq!(u32_at(&batch.bytes, 0), Some(20));
        assert_eq!(u32_at(&batch.bytes, 8), Some(9));
        assert_eq!(u16_at(&batch.bytes, 26), Some(NLM_F_CREATE | NLM_F_REQUEST | NLM_F_ACK));
        assert_eq!(u32_at(&batch.bytes, 28), Some(10));
    }

    #[test]
    fn an_error_carries_the_step_and_the_kernels_words() {
        let mut payload = (-2_i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; HEADER]);
        payload.extend(bytes_of(|t| {
            t.string(1, "no such qdisc").u32(9, 0);
        }));
        let message = Message { kind: NLMSG_ERROR, flags: NLM_F_CAPPED | NLM_F_ACK_TLVS, seq: 1, payload };
        let error = parse_error(&message, "link 0: netem").unwrap();
        assert_eq!(error.errno, Some(2));
        assert!(error.what.starts_with("link 0: netem: "), "{}", error.what);
        assert!(error.what.ends_with("(no such qdisc)"), "{}", error.what);
    }
}
