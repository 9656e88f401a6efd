// SPDX-License-Identifier: MIT
//! Captures: one ring over the whole fabric, split into one pcapng stream per link end (doc/internals.md, section 2).

use std::os::fd::{AsFd, AsRawFd, RawFd};

use serde_bytes::Bytes;

use crate::bringup::Fabric;
use crate::clock::{Clock, EPOCH_NS};
use crate::error::{Context, Error, Result};
use crate::pcapng::{self, Direction};
use crate::protocol::{Event, PlanCapture};
use crate::ring::{Frame, Ring};
use crate::sys;

/// A guest is never woken by an almost empty block but once a minute: each wake-up costs wall time.
const RETIRE_GUEST_MS: u32 = 60_000;
/// On the host's kernel a flush waits for this long at most until a block is handed over.
const RETIRE_NETNS_MS: u32 = 10;
/// Streams go to the host when they hold this many bytes together: less than the host's socket takes, so that the host
/// works at the same time and the guest does not wait for it.
const EMIT_AT: usize = 192 << 10;
const PIECE: usize = 256 << 10;

/// The stream of one link end.
struct Stream {
    link: usize,
    end: usize,
    ifindex: u32,
    bytes: Vec<u8>,
    /// Bytes of frames seen so far, for the rule of truncation.
    seen: u64,
}

/// All streams, and the rule of truncation.
struct Streams {
    all: Vec<Stream>,
    /// Index in `all` by interface less `first`; None for links that are not captured.
    by_interface: Vec<Option<usize>>,
    first: u32,
    full_bytes: u64,
    snaplen: u32,
    held: usize,
    /// A stream has passed `full_bytes` since the kernel was told last.
    newly_full: bool,
}

pub struct Capture {
    ring: Ring,
    guest: bool,
    streams: Streams,
}

impl Capture {
    /// Open the ring, in the fabric's namespace; nothing is captured yet.
    pub fn ring(wanted: &PlanCapture, guest: bool) -> Result<Ring> {
        if wanted.snaplen < 14 {
            return Err(Error::usage(format!("capture: snaplen is at least 14 bytes, not {}", wanted.snaplen)));
        }
        let retire = if guest { RETIRE_GUEST_MS } else { RETIRE_NETNS_MS };
        Ring::open(wanted.ring_bytes, retire).context(|| "a capture ring")
    }

    /// Start capturing.
    pub fn start(ring: Ring, wanted: &PlanCapture, fabric: &Fabric, guest: bool) -> Result<Self> {
        ring.start().context(|| "starting the capture")?;
        let mut streams = Streams {
            all: Vec::new(),
            by_interface: vec![None; fabric.links.len() * 2],
            first: fabric.device(0, 0),
            full_bytes: wanted.full_bytes,
            snaplen: wanted.snaplen,
            held: 0,
            newly_full: false,
        };
        for (link, described) in fabric.links.iter().enumerate().filter(|(_, l)| l.capture) {
            for end in 0..2 {
                let mut bytes = Vec::new();
                pcapng::header(&mut bytes, &format!("{}.{}", described.name, described.nodes[end]), 0);
                streams.by_interface[2 * link + end] = Some(streams.all.len());
                streams.held += bytes.len();
                streams.all.push(Stream { link, end, ifindex: fabric.device(link, end), bytes, seen: 0 });
            }
        }
        Ok(Capture { ring, guest, streams })
    }

    /// Readable when a block is full.
    pub fn fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// Take the frames of all full blocks.
    pub fn drain(&mut self, clock: &Clock) {
        self.read(false, clock);
    }

    fn read(&mut self, partial: bool, clock: &Clock) {
        let streams = &mut self.streams;
        self.ring.read(partial, |frame| streams.take(frame, clock));
        if streams.newly_full {
            streams.newly_full = false;
            let full: Vec<u32> =
                streams.all.iter().filter(|s| s.seen >= streams.full_bytes).map(|s| s.ifindex).collect();
            // Saves copying what would be cut off below anyway; with too many interfaces the kernel says no.
            let all = full.len() == streams.all.len();
            let _ = self.ring.truncate((!all).then_some(full.as_slice()), streams.snaplen);
        }
    }

    /// Take all frames there are, also of the block that the kernel is filling.
    fn flush(&mut self, clock: &Clock) -> Result<()> {
        const TRIES: u32 = 100;
        self.read(self.guest, clock);
        let before = self.ring.released;
        for _ in 0..TRIES {
            if self.guest || !self.ring.is_filling() || self.ring.released > before {
                return Ok(());
            }
            sys::poll_for(self.ring.fd().as_fd(), RETIRE_NETNS_MS).context(|| "waiting for a capture")?;
            self.read(false, clock);
        }
        Err(Error::internal("the kernel does not hand over a block of captures"))
    }

    /// Send captures: everything, or only when enough is there.
    pub fn emit(&mut self, all: bool, clock: &Clock, mut send: impl FnMut(&Event<'_>) -> Result<()>) -> Result<()> {
        if all {
            self.flush(clock)?;
        } else if self.streams.held < EMIT_AT {
            return Ok(());
        }
        self.streams.held = 0;
        for stream in &mut self.streams.all {
            for piece in stream.bytes.chunks(PIECE) {
                send(&Event::Capture { link: stream.link, end: stream.end, data: Bytes::new(piece) })?;
            }
            stream.bytes.clear();
            stream.bytes.shrink_to(PIECE);
        }
        Ok(())
    }

    /// Frames that the ring lost.
    pub fn drops(&mut self) -> Result<u64> {
        self.ring.drops().context(|| "statistics of the capture")
    }

    /// Write down a frame that was put straight onto a link end, which packet sockets are not shown.
    pub fn delivered(&mut self, clock: &Clock, link: usize, end: usize, frame: &[u8]) {
        self.read(self.guest, clock);
        let Some(&Some(index)) = self.streams.by_interface.get(2 * link + end) else { return };
        let time = clock.now() + EPOCH_NS;
        self.streams.append(index, time, frame.len() as u32, frame, None, Direction::Inbound);
    }
}

impl Streams {
    fn take(&mut self, frame: &Frame<'_>, clock: &Clock) {
        let place = frame.ifindex.checked_sub(self.first).map(|p| p as usize);
        let Some(&Some(index)) = place.and_then(|p| self.by_interface.get(p)) else { return };
        // What leaves the fabric's end is what the node receives.
        let direction = if frame.outgoing { Direction::Inbound } else { Direction::Outbound };
        let time = clock.capture_ns(frame.real_ns);
        self.append(index, time, frame.wire_len, frame.data, frame.vlan, direction);
    }

    fn append(
        &mut self,
        index: usize,
        time: i64,
        wire_len: u32,
        data: &[u8],
        vlan: Option<(u16, u16)>,
        direction: Direction,
    ) {
        let stream = &mut self.all[index];
        let before = stream.bytes.len();
        let was_full = stream.seen >= self.full_bytes;
        let mut keep = if was_full { data.len().min(self.snaplen as usize) } else { data.len() };
        stream.seen += u64::from(wire_len);
        self.newly_full |= !was_full && stream.seen >= self.full_bytes;
        let mut tag = [0; 4];
        let mut parts: [&[u8]; 3] = [&data[..keep], &[], &[]];
        let mut length = wire_len;
        if let (Some((tpid, tci)), true) = (vlan, keep >= 12) {
            tag[..2].copy_from_slice(&tpid.to_be_bytes());
            tag[2..].copy_from_slice(&tci.to_be_bytes());
            length += 4;
            if was_full {
                keep = keep.min((self.snaplen as usize).saturating_sub(4)).max(12);
            }
            parts = [&data[..12], &tag, &data[12..keep]];
        }
        pcapng::packet(&mut stream.bytes, u64::try_from(time).unwrap_or(0), length, &parts, direction);
        self.held += stream.bytes.len() - before;
    }
}
