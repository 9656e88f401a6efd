// SPDX-License-Identifier: MIT
//! The far end of the harness: one connection, one thread and one engine each; every call of the library by its name.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use serde_bytes::ByteBuf;

use crate::layout::{QResult, Segment, SgArray, ACCEPT, POP};
use crate::library::{self, untouched, Guarded, Library, TimeSpec, PATTERN};
use crate::protocol::{self, Call, Completion, Envelope, Reply, Source, Timeout};

/// What results are filled with before a call, to see whether a call that fails leaves them alone.
const PATTERN_I32: i32 = i32::from_ne_bytes([PATTERN; 4]);
const PATTERN_U64: u64 = u64::from_ne_bytes([PATTERN; 8]);

/// Serve the harness over the abstract Unix socket `name`, where it listens, until it closes the connection.
pub fn serve(library: Library, name: &str) -> io::Result<()> {
    let address = SocketAddr::from_abstract_name(name)?;
    let mut stream = UnixStream::connect_addr(&address)?;
    let mut server = Server { library, name: name.to_owned(), pushed: HashMap::new(), arrays: HashMap::new(), next: 1 };
    loop {
        library.drive(&stream);
        let Some(frame) = protocol::read(&mut stream)? else { return Ok(()) };
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let envelope: Envelope = rmp_serde::from_slice(&frame).map_err(wrong)?;
        let call: Call = rmp_serde::from_slice(&frame).map_err(wrong)?;
        let mut reply = server.answer(call, &envelope.null);
        reply.id = envelope.id;
        protocol::write(&mut stream, &reply)?;
    }
}

struct Server {
    library: Library,
    name: String,
    pushed: HashMap<u64, Outgoing>,
    arrays: HashMap<u32, SgArray>,
    next: u32,
}

/// The buffer of a push that is under way.
enum Outgoing {
    Libos(SgArray),
    Heap { _bytes: Vec<u8> },
    Kept,
}

/// `None` (NULL) where the harness wants that, else the value.
fn unless<T>(null: &[String], name: &str, value: T) -> Option<T> {
    (!null.iter().any(|wanted| wanted == name)).then_some(value)
}

fn timespec(timeout: Timeout) -> Option<TimeSpec> {
    timeout.map(|(tv_sec, tv_nsec)| TimeSpec { tv_sec, tv_nsec })
}

fn with_qd(errno: i32, qd: i32) -> Reply {
    Reply { errno, qd: (errno == 0).then_some(qd), wrote: errno != 0 && qd != PATTERN_I32, ..Reply::default() }
}

fn with_token(errno: i32, token: u64) -> Reply {
    Reply { errno, token: (errno == 0).then_some(token), wrote: errno != 0 && token != PATTERN_U64, ..Reply::default() }
}

fn with_errno(errno: i32) -> Reply {
    Reply { errno, ..Reply::default() }
}

impl Server {
    fn answer(&mut self, call: Call, null: &[String]) -> Reply {
        let library = self.library;
        let (mut qd_out, mut token) = (PATTERN_I32, PATTERN_U64);
        match call {
            Call::Init { args } => {
                let words: Vec<CString> = args.into_iter().filter_map(|word| CString::new(word).ok()).collect();
                with_errno(library.init(unless(null, "args", words.as_slice())))
            }
            Call::Socket { domain, kind, protocol } => {
                let errno = library.socket(unless(null, "qd", &mut qd_out), domain, kind, protocol);
                with_qd(errno, qd_out)
            }
            Call::Bind { qd, address } => with_errno(library.bind(qd, unless(null, "address", &address))),
            Call::Listen { qd, backlog } => with_errno(library.listen(qd, backlog)),
            Call::Accept { qd } => with_token(library.accept(unless(null, "token", &mut token), qd), token),
            Call::Connect { qd, address } => {
                let errno = library.connect(unless(null, "token", &mut token), qd, unless(null, "address", &address));
                with_token(errno, token)
            }
            Call::Close { qd } => with_errno(library.close(qd)),
            Call::Push { qd, data, source, sga, count, address } => {
                self.push(qd, data.into_vec(), source, sga, count, address.map(ByteBuf::into_vec), null)
            }
            Call::Pop { qd } => with_token(library.pop(unless(null, "token", &mut token), qd), token),
            Call::Setsockopt { qd, level, name, value } => {
                with_errno(library.setsockopt(qd, level, name, unless(null, "value", &value)))
            }
            Call::Getsockopt { qd, level, name, size } => {
                named(size, null, "value", |value, length| library.getsockopt(qd, level, name, value, length))
            }
            Call::Getpeername { qd, size } => {
                named(size, null, "address", |value, length| library.getpeername(qd, value, length))
            }
            Call::Sgaalloc { size } => self.allocate(size),
            Call::Sgafree { sga } => self.free(sga, null),
            Call::Wait { token, timeout } => self.wait(token, timeout, null),
            Call::WaitAny { tokens, count, timeout } => self.wait_any(&tokens, count, timeout, null),
            Call::WaitNextN { max, timeout } => self.wait_next_n(max, timeout, null),
            Call::CreatePipe { name } => {
                let name = CString::new(name.into_vec()).unwrap_or_default();
                let errno = library.create_pipe(unless(null, "qd", &mut qd_out), unless(null, "name", name.as_c_str()));
                with_qd(errno, qd_out)
            }
            Call::OpenPipe { name } => {
                let name = CString::new(name.into_vec()).unwrap_or_default();
                let errno = library.open_pipe(unless(null, "qd", &mut qd_out), unless(null, "name", name.as_c_str()));
                with_qd(errno, qd_out)
            }
            Call::Thread {} => self.thread(),
        }
    }

    fn thread(&self) -> Reply {
        let (library, name) = (self.library, self.name.clone());
        let started = std::thread::Builder::new().spawn(move || {
            if let Err(error) = serve(library, &name) {
                eprintln!("testbed-libos: a thread ended: {error}");
            }
        });
        with_errno(started.map_or_else(|error| error.raw_os_error().unwrap_or(libc::EAGAIN), |_| 0))
    }

    #[allow(clippy::too_many_arguments)] // as the request has
    fn push(
        &mut self,
        qd: i32,
        mut data: Vec<u8>,
        source: Source,
        kept: Option<u32>,
        count: Option<u32>,
        address: Option<Vec<u8>>,
        null: &[String],
    ) -> Reply {
        let (mut sga, outgoing) = match (kept, source) {
            (Some(number), _) => match self.arrays.get_mut(&number) {
                Some(sga) => {
                    let room = library::bytes_of_mut(sga);
                    let length = room.len().min(data.len());
                    room[..length].copy_from_slice(&data[..length]);
                    (*sga, Outgoing::Kept)
                }
                None => return Reply { errno: libc::EINVAL, failed: Some("no such array"), ..Reply::default() },
            },
            (None, Source::Libos) => {
                let mut sga = self.library.sgaalloc(data.len());
                let room = library::bytes_of_mut(&mut sga);
                if room.len() != data.len() {
                    return Reply { errno: libc::ENOMEM, failed: Some("demi_sgaalloc"), ..Reply::default() };
                }
                room.copy_from_slice(&data);
                (sga, Outgoing::Libos(sga))
            }
            (None, Source::Heap) => {
                let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
                let bytes = if null.iter().any(|name| name == "segment") {
                    std::ptr::null_mut()
                } else {
                    data.as_mut_ptr().cast()
                };
                let sga = SgArray { count: 1, segment: Segment { bytes, length }, ..SgArray::EMPTY };
                (sga, Outgoing::Heap { _bytes: data })
            }
        };
        if let Some(count) = count {
            sga.count = count;
        }
        let mut token = PATTERN_U64;
        let out = unless(null, "token", &mut token);
        let array = unless(null, "sga", &sga);
        let errno = match &address {
            Some(address) => self.library.pushto(out, qd, array, unless(null, "address", address)),
            None => self.library.push(out, qd, array),
        };
        if errno == 0 {
            self.pushed.insert(token, outgoing);
        } else {
            self.release(outgoing);
        }
        with_token(errno, token)
    }

    /// Free the buffer of a push that is over; gives what `demi_sgafree` returned.
    fn release(&self, outgoing: Outgoing) -> i32 {
        match outgoing {
            Outgoing::Libos(mut sga) => self.library.sgafree(Some(&mut sga)),
            Outgoing::Heap { .. } | Outgoing::Kept => 0,
        }
    }

    fn allocate(&mut self, size: u64) -> Reply {
        let sga = self.library.sgaalloc(usize::try_from(size).unwrap_or(usize::MAX));
        let segments = Some(sga.count);
        if sga.count == 0 {
            return Reply { segments, ..Reply::default() };
        }
        let number = self.next;
        self.next += 1;
        self.arrays.insert(number, sga);
        let length = Some(sga.segment.length);
        Reply { sga: Some(number), segments, length, ..Reply::default() }
    }

    fn free(&mut self, number: u32, null: &[String]) -> Reply {
        if null.iter().any(|name| name == "sga") {
            return with_errno(self.library.sgafree(None));
        }
        match self.arrays.remove(&number) {
            Some(mut sga) => with_errno(self.library.sgafree(Some(&mut sga))),
            None => Reply { errno: libc::EINVAL, failed: Some("no such array"), ..Reply::default() },
        }
    }

    fn wait(&mut self, token: u64, timeout: Timeout, null: &[String]) -> Reply {
        let mut guarded = Guarded::new();
        let errno = self.library.wait(unless(null, "result", &mut guarded.result), token, timespec(timeout).as_ref());
        self.judged(errno, &guarded)
    }

    fn wait_any(&mut self, tokens: &[u64], count: Option<i32>, timeout: Timeout, null: &[String]) -> Reply {
        let mut guarded = Guarded::new();
        let mut index = PATTERN_I32;
        let errno = self.library.wait_any(
            unless(null, "result", &mut guarded.result),
            unless(null, "index", &mut index),
            unless(null, "tokens", tokens),
            count.filter(|count| *count <= 0), // never more than there are: that would be our fault
            timespec(timeout).as_ref(),
        );
        let mut reply = self.judged(errno, &guarded);
        reply.index = (errno == 0).then_some(index);
        reply.wrote |= errno != 0 && index != PATTERN_I32;
        reply
    }

    fn wait_next_n(&mut self, max: i32, timeout: Timeout, null: &[String]) -> Reply {
        // One more than the library is told of: nobody may write there.
        let room = usize::try_from(max).unwrap_or(0);
        let mut results = vec![library::patterned(PATTERN); room.saturating_add(1)];
        let mut count = PATTERN_I32;
        let errno = self.library.wait_next_n(
            unless(null, "results", &mut results[..room]),
            Some(max),
            unless(null, "count", &mut count),
            timespec(timeout).as_ref(),
        );
        if errno != 0 {
            let wrote = count != PATTERN_I32 || !results.iter().all(untouched);
            return Reply { errno, wrote, ..Reply::default() };
        }
        let done = usize::try_from(count).unwrap_or(0).min(room);
        if !results[done..].iter().all(untouched) {
            return Reply { errno, overran: true, ..Reply::default() };
        }
        let results = results[..done].iter().map(|result| self.completed(result)).collect();
        Reply { results: Some(results), index: Some(count), ..Reply::default() }
    }

    fn judged(&mut self, errno: i32, guarded: &Guarded) -> Reply {
        let overran = guarded.overran();
        if errno != 0 || overran {
            return Reply { errno, overran, wrote: !untouched(&guarded.result), ..Reply::default() };
        }
        Reply { result: Some(self.completed(&guarded.result)), ..Reply::default() }
    }

    fn completed(&mut self, result: &QResult) -> Completion {
        let QResult { opcode, qd, token, ret, .. } = *result;
        let mut done = Completion { opcode, qd, token, ret, data: None, freed: None, accepted: None, address: None };
        if let Some(outgoing) = self.pushed.remove(&token) {
            done.freed = Some(self.release(outgoing));
        }
        if opcode == POP {
            let mut sga = library::popped(result);
            done.data = Some(ByteBuf::from(library::bytes_of(&sga)));
            done.address = Some(ByteBuf::from({ sga.address }.bytes()));
            done.freed = Some(self.library.sgafree(Some(&mut sga)));
        } else if opcode == ACCEPT {
            let accepted = library::accepted(result);
            done.accepted = Some(accepted.qd);
            done.address = Some(ByteBuf::from({ accepted.address }.bytes()));
        }
        done
    }
}

/// Call a function that fills a buffer of a given size; at most so many bytes are given back as it says it wrote.
fn named(
    size: u32,
    null: &[String],
    name: &str,
    call: impl FnOnce(Option<&mut [u8]>, Option<&mut u32>) -> i32,
) -> Reply {
    let mut bytes = vec![PATTERN; size as usize];
    let mut length = size;
    let errno = call(unless(null, name, bytes.as_mut_slice()), unless(null, "length", &mut length));
    let wrote = errno != 0 && (length != size || bytes.iter().any(|byte| *byte != PATTERN));
    bytes.truncate(length as usize);
    Reply { errno, wrote, value: (errno == 0).then(|| ByteBuf::from(bytes)), length: Some(length), ..Reply::default() }
}
