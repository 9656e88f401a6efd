// SPDX-License-Identifier: MIT
//! A library with the queue API: loaded once, never unloaded. All `unsafe` of this program is here.
//!
//! Every argument that C takes as a pointer is an `Option`: `None` is NULL, which the suites hand in on purpose.

use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::os::raw::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::OnceLock;

use crate::layout::{Accepted, Args, QResult, SgArray};

pub type TimeSpec = libc::timespec;

type Int = c_int;

/// The functions of the library, as C declares them.
struct Functions {
    init: unsafe extern "C" fn(Option<&Args>) -> Int,
    socket: unsafe extern "C" fn(Option<&mut Int>, Int, Int, Int) -> Int,
    bind: unsafe extern "C" fn(Int, *const u8, u32) -> Int,
    listen: unsafe extern "C" fn(Int, Int) -> Int,
    accept: unsafe extern "C" fn(Option<&mut u64>, Int) -> Int,
    connect: unsafe extern "C" fn(Option<&mut u64>, Int, *const u8, u32) -> Int,
    close: unsafe extern "C" fn(Int) -> Int,
    push: unsafe extern "C" fn(Option<&mut u64>, Int, Option<&SgArray>) -> Int,
    pushto: unsafe extern "C" fn(Option<&mut u64>, Int, Option<&SgArray>, *const u8, u32) -> Int,
    pop: unsafe extern "C" fn(Option<&mut u64>, Int) -> Int,
    setsockopt: unsafe extern "C" fn(Int, Int, Int, *const c_void, u32) -> Int,
    getsockopt: unsafe extern "C" fn(Int, Int, Int, *mut c_void, Option<&mut u32>) -> Int,
    getpeername: unsafe extern "C" fn(Int, *mut u8, Option<&mut u32>) -> Int,
    sgaalloc: unsafe extern "C" fn(usize) -> SgArray,
    sgafree: unsafe extern "C" fn(Option<&mut SgArray>) -> Int,
    wait: unsafe extern "C" fn(Option<&mut QResult>, u64, Option<&TimeSpec>) -> Int,
    wait_any: unsafe extern "C" fn(Option<&mut QResult>, Option<&mut Int>, *const u64, Int, Option<&TimeSpec>) -> Int,
    wait_next_n: unsafe extern "C" fn(*mut QResult, Int, Option<&mut Int>, Option<&TimeSpec>) -> Int,
    create_pipe: Option<unsafe extern "C" fn(Option<&mut Int>, *const c_char) -> Int>,
    open_pipe: Option<unsafe extern "C" fn(Option<&mut Int>, *const c_char) -> Int>,
    /// Only our own libraries have it.
    drive: Option<unsafe extern "C" fn(Int) -> Int>,
}

static LOADED: OnceLock<Functions> = OnceLock::new();

/// The loaded library; copies are the same library.
#[derive(Clone, Copy)]
pub struct Library {
    functions: &'static Functions,
}

impl Library {
    /// Load a library, once per process.
    ///
    /// # Errors
    /// It cannot be loaded, or lacks functions: all that lack are named.
    pub fn load(path: &Path) -> Result<Self, String> {
        let functions = find(path)?;
        Ok(Self { functions: LOADED.get_or_init(|| functions) })
    }
}

fn find(path: &Path) -> Result<Functions, String> {
    // SAFETY: running a library's constructors is what loading the thing under test means.
    let library =
        unsafe { libloading::Library::new(path) }.map_err(|e| format!("cannot load {}: {e}", path.display()))?;
    let mut missing = Vec::new();
    macro_rules! function {
        ($name:literal) => {
            // SAFETY: the type is the one that the public header declares for this name.
            match unsafe { library.get(concat!("demi_", $name, "\0").as_bytes()) } {
                Ok(symbol) => Some(*symbol),
                Err(_) => {
                    missing.push(concat!("demi_", $name));
                    None
                }
            }
        };
    }
    let found = (|| {
        let (init, socket, bind, listen) =
            (function!("init"), function!("socket"), function!("bind"), function!("listen"));
        let (accept, connect, close) = (function!("accept"), function!("connect"), function!("close"));
        let (push, pushto, pop) = (function!("push"), function!("pushto"), function!("pop"));
        let (setsockopt, getsockopt) = (function!("setsockopt"), function!("getsockopt"));
        let (getpeername, sgaalloc, sgafree) = (function!("getpeername"), function!("sgaalloc"), function!("sgafree"));
        let (wait, wait_any, wait_next_n) = (function!("wait"), function!("wait_any"), function!("wait_next_n"));
        Some(Functions {
            init: init?,
            socket: socket?,
            bind: bind?,
            listen: listen?,
            accept: accept?,
            connect: connect?,
            close: close?,
            push: push?,
            pushto: pushto?,
            pop: pop?,
            setsockopt: setsockopt?,
            getsockopt: getsockopt?,
            getpeername: getpeername?,
            sgaalloc: sgaalloc?,
            sgafree: sgafree?,
            wait: wait?,
            wait_any: wait_any?,
            wait_next_n: wait_next_n?,
            create_pipe: function!("create_pipe"),
            open_pipe: function!("open_pipe"),
            // SAFETY: the type is the one that the crate `abi` gives it.
            drive: unsafe { library.get(b"testbed_drive\0") }.ok().map(|symbol| *symbol),
        })
    })();
    std::mem::forget(library); // its functions live as long as the process
    found.ok_or_else(|| format!("{} lacks {}", path.display(), missing.join(", ")))
}

fn address(bytes: Option<&[u8]>) -> (*const u8, u32) {
    let length = bytes.map_or(0, <[u8]>::len);
    (bytes.map_or(std::ptr::null(), <[u8]>::as_ptr), u32::try_from(length).unwrap_or(u32::MAX))
}

/// What a library does with the pointers it is given is its own affair: they are NULL, or valid for the call.
impl Library {
    /// Let the library move what is under way until `stream` can be read: a stack of its own answers its peers only when it is called.
    pub fn drive(self, stream: &impl AsRawFd) {
        if let Some(drive) = self.functions.drive {
            // SAFETY: a descriptor that lives as long as the call.
            unsafe { drive(stream.as_raw_fd()) };
        }
    }

    pub fn init(self, arguments: Option<&[CString]>) -> i32 {
        let pointers: Vec<*const c_char> =
            arguments.unwrap_or_default().iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        let argc = c_int::try_from(pointers.len() - 1).unwrap_or(0);
        let args = Args { argc, argv: pointers.as_ptr(), log: std::ptr::null() };
        // SAFETY: `pointers` and the words live until the call returns.
        unsafe { (self.functions.init)(arguments.map(|_| &args)) }
    }

    pub fn socket(self, qd: Option<&mut i32>, domain: i32, kind: i32, protocol: i32) -> i32 {
        // SAFETY: see the head of this block, as for all calls below.
        unsafe { (self.functions.socket)(qd, domain, kind, protocol) }
    }

    pub fn bind(self, qd: i32, local: Option<&[u8]>) -> i32 {
        let (pointer, length) = address(local);
        // SAFETY: pointer and length are of one slice.
        unsafe { (self.functions.bind)(qd, pointer, length) }
    }

    pub fn listen(self, qd: i32, backlog: i32) -> i32 {
        // SAFETY: no pointers.
        unsafe { (self.functions.listen)(qd, backlog) }
    }

    pub fn accept(self, token: Option<&mut u64>, qd: i32) -> i32 {
        // SAFETY: NULL or a valid reference.
        unsafe { (self.functions.accept)(token, qd) }
    }

    pub fn connect(self, token: Option<&mut u64>, qd: i32, remote: Option<&[u8]>) -> i32 {
        let (pointer, length) = address(remote);
        // SAFETY: pointer and length are of one slice.
        unsafe { (self.functions.connect)(token, qd, pointer, length) }
    }

    pub fn close(self, qd: i32) -> i32 {
        // SAFETY: no pointers.
        unsafe { (self.functions.close)(qd) }
    }

    pub fn push(self, token: Option<&mut u64>, qd: i32, sga: Option<&SgArray>) -> i32 {
        // SAFETY: NULL or valid references; the segment stays allocated until the token completes (see the callers).
        unsafe { (self.functions.push)(token, qd, sga) }
    }

    pub fn pushto(self, token: Option<&mut u64>, qd: i32, sga: Option<&SgArray>, remote: Option<&[u8]>) -> i32 {
        let (pointer, length) = address(remote);
        // SAFETY: as for `push`; pointer and length are of one slice.
        unsafe { (self.functions.pushto)(token, qd, sga, pointer, length) }
    }

    pub fn pop(self, token: Option<&mut u64>, qd: i32) -> i32 {
        // SAFETY: NULL or a valid reference.
        unsafe { (self.functions.pop)(token, qd) }
    }

    pub fn setsockopt(self, qd: i32, level: i32, name: i32, value: Option<&[u8]>) -> i32 {
        let (pointer, length) = address(value);
        // SAFETY: pointer and length are of one slice.
        unsafe { (self.functions.setsockopt)(qd, level, name, pointer.cast(), length) }
    }

    pub fn getsockopt(self, qd: i32, level: i32, name: i32, value: Option<&mut [u8]>, length: Option<&mut u32>) -> i32 {
        let pointer = value.map_or(std::ptr::null_mut(), <[u8]>::as_mut_ptr);
        // SAFETY: the callers give a length of at most the slice's.
        unsafe { (self.functions.getsockopt)(qd, level, name, pointer.cast(), length) }
    }

    pub fn getpeername(self, qd: i32, name: Option<&mut [u8]>, length: Option<&mut u32>) -> i32 {
        let pointer = name.map_or(std::ptr::null_mut(), <[u8]>::as_mut_ptr);
        // SAFETY: the callers give a length of at most the slice's.
        unsafe { (self.functions.getpeername)(qd, pointer, length) }
    }

    pub fn sgaalloc(self, bytes: usize) -> SgArray {
        // SAFETY: no pointers.
        unsafe { (self.functions.sgaalloc)(bytes) }
    }

    pub fn sgafree(self, sga: Option<&mut SgArray>) -> i32 {
        // SAFETY: NULL or a valid reference.
        unsafe { (self.functions.sgafree)(sga) }
    }

    pub fn wait(self, result: Option<&mut QResult>, token: u64, timeout: Option<&TimeSpec>) -> i32 {
        // SAFETY: NULL or valid references.
        unsafe { (self.functions.wait)(result, token, timeout) }
    }

    /// `count` None is the number of tokens.
    pub fn wait_any(
        self,
        result: Option<&mut QResult>,
        index: Option<&mut i32>,
        tokens: Option<&[u64]>,
        count: Option<i32>,
        timeout: Option<&TimeSpec>,
    ) -> i32 {
        let pointer = tokens.map_or(std::ptr::null(), <[u64]>::as_ptr);
        let count = count.unwrap_or_else(|| i32::try_from(tokens.map_or(0, <[u64]>::len)).unwrap_or(i32::MAX));
        // SAFETY: NULL or valid references; a count that is wrong on purpose is 0 or negative (`serve` checks).
        unsafe { (self.functions.wait_any)(result, index, pointer, count, timeout) }
    }

    /// `max` None is the number of results there is room for.
    pub fn wait_next_n(
        self,
        results: Option<&mut [QResult]>,
        max: Option<i32>,
        count: Option<&mut i32>,
        timeout: Option<&TimeSpec>,
    ) -> i32 {
        let room = i32::try_from(results.as_ref().map_or(0, |results| results.len())).unwrap_or(i32::MAX);
        let pointer = results.map_or(std::ptr::null_mut(), <[QResult]>::as_mut_ptr);
        // SAFETY: as for `wait_any`.
        unsafe { (self.functions.wait_next_n)(pointer, max.unwrap_or(room), count, timeout) }
    }

    pub fn create_pipe(self, qd: Option<&mut i32>, name: Option<&CStr>) -> i32 {
        // SAFETY: NULL, or a string that ends in NUL.
        self.functions.create_pipe.map_or(libc::ENOSYS, |call| unsafe { call(qd, c_string(name)) })
    }

    pub fn open_pipe(self, qd: Option<&mut i32>, name: Option<&CStr>) -> i32 {
        // SAFETY: NULL, or a string that ends in NUL.
        self.functions.open_pipe.map_or(libc::ENOSYS, |call| unsafe { call(qd, c_string(name)) })
    }
}

fn c_string(name: Option<&CStr>) -> *const c_char {
    name.map_or(std::ptr::null(), CStr::as_ptr)
}

/// The bytes of an array's segment; empty where it has none.
pub fn bytes_of(sga: &SgArray) -> &[u8] {
    let SgArray { count, segment, .. } = *sga;
    if count == 0 || segment.bytes.is_null() || segment.length == 0 {
        return &[];
    }
    // SAFETY: the library says that so many bytes are there, until they are freed; the array is borrowed meanwhile.
    unsafe { std::slice::from_raw_parts(segment.bytes.cast(), segment.length as usize) }
}

/// The bytes of an array that nobody else uses now: allocated, or popped.
pub fn bytes_of_mut(sga: &mut SgArray) -> &mut [u8] {
    let SgArray { count, segment, .. } = *sga;
    if count == 0 || segment.bytes.is_null() || segment.length == 0 {
        return &mut [];
    }
    // SAFETY: as for `bytes_of`; the array is borrowed exclusively.
    unsafe { std::slice::from_raw_parts_mut(segment.bytes.cast(), segment.length as usize) }
}

/// The buffer that a completed pop carries.
pub fn popped(result: &QResult) -> SgArray {
    // SAFETY: any bytes are an array; its pointers are followed for pops only.
    unsafe { result.value.sga }
}

/// What a completed accept carries.
pub fn accepted(result: &QResult) -> Accepted {
    // SAFETY: any bytes are such a structure.
    unsafe { result.value.accepted }
}

/// The 64 bytes of a result: whether a library wrote to it.
pub fn raw(result: &QResult) -> &[u8; 64] {
    // SAFETY: the structure is packed and has no padding.
    unsafe { &*std::ptr::from_ref(result).cast() }
}

/// What places are filled with that a library may not write to.
pub const PATTERN: u8 = 0xA5;

/// A result with a place behind it that no library may write to.
#[repr(C)]
pub struct Guarded {
    pub result: QResult,
    guard: [u8; 64],
}

impl Guarded {
    pub fn new() -> Self {
        Self { result: patterned(PATTERN), guard: [PATTERN; 64] }
    }

    /// The library wrote behind the result: it has another size there.
    pub fn overran(&self) -> bool {
        self.guard.iter().any(|byte| *byte != PATTERN)
    }
}

/// Nobody wrote to the result.
pub fn untouched(result: &QResult) -> bool {
    raw(result).iter().all(|byte| *byte == PATTERN)
}

/// A result filled with one byte.
pub fn patterned(byte: u8) -> QResult {
    // SAFETY: any bytes are a result.
    unsafe { std::mem::transmute([byte; 64]) }
}
