// SPDX-License-Identifier: MIT
//! The channel to the host: frames of a u32 little-endian length and one msgpack map, over any stream.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// No frame is longer than this, in bytes.
pub const MAX_FRAME: usize = 16 << 20;
/// Bytes of a frame's length.
const HEAD: usize = 4;
/// Frames wait to be written together until this many bytes are there, or a reply ends the exchange.
const WRITE_AT: usize = 256 << 10;

/// Both directions of the stream, buffered.
pub struct Channel {
    stream: File,
    /// Where the other direction is another file: stdin and stdout of a remote shell are two pipes.
    back: Option<File>,
    output: Vec<u8>,
}

impl Channel {
    pub fn new(stream: File, back: Option<File>) -> Self {
        Channel { stream, back, output: Vec::new() }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Wait for the next frame. None at the end of the stream.
    ///
    /// In a guest the wait stops the whole kernel, its clock included, until every byte is there: the number of system
    /// calls, and so the virtual time, does not depend on how the host's bytes arrive.
    pub fn read_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        take_frame(&mut self.stream)
    }

    /// Queue one frame, whose body `write` appends to what is queued.
    pub fn send(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        put_frame(&mut self.output, write)?;
        if self.output.len() >= WRITE_AT {
            self.flush()?;
        }
        Ok(())
    }

    /// Write all that is queued.
    pub fn flush(&mut self) -> io::Result<()> {
        self.back.as_mut().unwrap_or(&mut self.stream).write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }
}

/// Append a frame to a buffer; one that cannot be written or is too long leaves the buffer as it was.
fn put_frame(output: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    let start = output.len();
    output.extend_from_slice(&[0; HEAD]);
    let written = write(output).and_then(|()| match output.len() - start - HEAD {
        length if length > MAX_FRAME => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a frame of {length} bytes; at most {MAX_FRAME}")))
        }
        length => Ok(length as u32),
    });
    match written {
        Ok(length) => output[start..start + HEAD].copy_from_slice(&length.to_le_bytes()),
        Err(error) => {
            output.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

/// Read one frame: exactly its length, then exactly its body.
fn take_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD];
    if !fill(stream, &mut head)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(head) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes; at most {MAX_FRAME}"),
        ));
    }
    let mut frame = vec![0; length];
    Ok(fill(stream, &mut frame)?.then_some(frame))
}

/// Read until a buffer is full; false where the stream ends before.
fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match stream.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(output: &mut Vec<u8>, body: &[u8]) {
        put_frame(output, |out| out.write_all(body)).unwrap();
    }

    #[test]
    fn a_frame_is_its_length_and_its_body() {
        let mut bytes = Vec::new();
        put(&mut bytes, b"abc");
        assert_eq!(bytes, b"\x03\0\0\0abc");
    }

    #[test]
    fn a_frame_that_is_refused_leaves_nothing_behind() {
        let mut bytes = Vec::new();
        put(&mut bytes, b"before");
        let before = bytes.clone();
        assert!(put_frame(&mut bytes, |out| out.write_all(&vec![0; MAX_FRAME + 1])).is_err());
        assert!(put_frame(&mut bytes, |_| Err(io::Error::other("planted"))).is_err());
        assert_eq!(bytes, before);
    }

    /// Gives one byte at a time, as a slow host may.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn frames_come_out_one_by_one_whatever_the_chunks() {
        let mut all = Vec::new();
        put(&mut all, b"first");
        put(&mut all, b"");
        let mut stream = Slow(&all);
        assert_eq!(take_frame(&mut stream).unwrap(), Some(b"first".to_vec()));
        assert_eq!(take_frame(&mut stream).unwrap(), Some(Vec::new()));
        assert_eq!(take_frame(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_stream_that_ends_within_a_frame_has_ended() {
        let mut all = Vec::new();
        put(&mut all, b"half");
        assert_eq!(take_frame(&mut &all[..6]).unwrap(), None);
        assert_eq!(take_frame(&mut &all[..2]).unwrap(), None);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused() {
        let head = (MAX_FRAME as u32 + 1).to_le_bytes();
        let error = take_frame(&mut &head[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
