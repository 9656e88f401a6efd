// SPDX-License-Identifier: MIT
//! The kernel's heap at its usual place where the host does not let us turn address randomization off.
//!
//! Containers (Docker's seccomp profile) refuse `personality(ADDR_NO_RANDOMIZE)`. Of what is randomized then, a guest shows
//! one thing: the gap before the program's break, which UML takes for memory of the guest, so that its size would vary.
//! So a helper traces us over the `exec` and has the new program, before its first instruction, set its break to the
//! end of its data: `prctl(PR_SET_MM, PR_SET_MM_MAP)` (prctl(2), which needs no privilege). Then it lets go and is gone.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use crate::sys;

const PAGE: u64 = 4096;
const SYSCALL: [u8; 2] = [0x0f, 0x05];
const PT_LOAD: u32 = 1;
const PR_SET_PTRACER_ANY: libc::c_ulong = libc::c_ulong::MAX;
/// Single steps until the injected instruction has run: one, and some for signals that come in between.
const MOST_STEPS: usize = 4;
/// `struct prctl_mm_map` of linux/prctl.h, as 64-bit words.
const MAP_WORDS: usize = 13;

/// Have the next program that this process executes begin with its break at the end of its data.
pub fn settle_at_exec(program: &str) -> Result<()> {
    let end = end_of_data(program)?;
    let (told, tell) = io_pipe()?;
    let traced = sys::getpid();
    // Yama lets only an ancestor trace, unless it is told of another; without Yama this is EINVAL, and needless.
    let _ = sys::prctl(libc::PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    // Twice, so that the helper is no child of ours: the kernel must not find one that it did not make.
    match sys::fork()? {
        0 => {
            if matches!(sys::fork(), Ok(0)) {
                drop(told);
                help(traced, end, tell);
            }
            std::process::exit(0);
        }
        child => sys::waitpid(child).map(drop)?,
    }
    drop(tell);
    let mut word = Vec::new();
    let _ = File::from(told).take(1).read_to_end(&mut word)?;
    match word[..] {
        [0] => Ok(()),
        [errno] => Err(Error::from_raw_os_error(i32::from(errno))),
        _ => Err(Error::from(ErrorKind::BrokenPipe)),
    }
}

fn io_pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: ends has room for the two descriptors.
    sys::check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((sys::own(ends[0])?, sys::own(ends[1])?))
}

/// The helper's life: seize, say so, wait for the exec, settle, let go.
fn help(pid: libc::pid_t, end: u64, tell: OwnedFd) {
    let seized = ptrace(libc::PTRACE_SEIZE, pid, 0, (libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACESYSGOOD) as u64);
    let errno = seized.as_ref().err().and_then(Error::raw_os_error).unwrap_or(0);
    let told = File::from(tell).write_all(&[u8::try_from(errno).unwrap_or(255)]);
    if seized.is_err() || told.is_err() || !matches!(executed(pid), Ok(true)) {
        return; // it is told already, or there is nobody left to be told
    }
    if let Err(error) = settle(pid, end).and_then(|()| ptrace(libc::PTRACE_DETACH, pid, 0, 0)) {
        eprintln!("agent: cannot settle the kernel's heap: {error}");
        let _ = sys::kill(pid, libc::SIGKILL);
    }
}

/// Have a program that stands at its first instruction make one system call, and be as it was.
fn settle(pid: libc::pid_t, end: u64) -> Result<()> {
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
    let before = registers(pid)?;
    let map: Vec<u8> = map_of(pid, end)?.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (mut code, mut stack) = ([0; SYSCALL.len()], vec![0; map.len()]);
    memory.read_exact_at(&mut code, before.rip)?;
    memory.read_exact_at(&mut stack, before.rsp)?;
    memory.write_all_at(&SYSCALL, before.rip)?;
    memory.write_all_at(&map, before.rsp)?;
    let mut call = before;
    call.rax = libc::SYS_prctl as u64;
    call.orig_rax = u64::MAX; // no system call is to be restarted
    (call.rdi, call.rsi, call.rdx) = (libc::PR_SET_MM as u64, libc::PR_SET_MM_MAP as u64, before.rsp);
    (call.r10, call.r8) = (map.len() as u64, 0);
    set_registers(pid, &call)?;
    let after = step_over(pid, before.rip)?;
    memory.write_all_at(&code, before.rip)?;
    memory.write_all_at(&stack, before.rsp)?;
    set_registers(pid, &before)?;
    match i32::try_from(after.rax as i64) {
        Ok(0) => Ok(()),
        Ok(negative) => Err(Error::from_raw_os_error(-negative)),
        Err(_) => Err(Error::from(ErrorKind::InvalidData)),
    }
}

fn step_over(pid: libc::pid_t, at: u64) -> Result<libc::user_regs_struct> {
    for _ in 0..MOST_STEPS {
        ptrace(libc::PTRACE_SINGLESTEP, pid, 0, 0)?;
        if !libc::WIFSTOPPED(wait(pid)?) {
            return Err(Error::from(ErrorKind::BrokenPipe));
        }
        let now = registers(pid)?;
        if now.rip != at {
            return Ok(now);
        }
    }
    Err(Error::from(ErrorKind::TimedOut))
}

/// What the program's memory map says already, but for the break.
fn map_of(pid: libc::pid_t, end: u64) -> Result<[u64; MAP_WORDS]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<u64> =
        stat.rsplit(')').next().unwrap_or("").split_ascii_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    // Numbers of proc(5); the first field after the name is the third.
    let field = |number: usize| fields.get(number - 3).copied().ok_or(ErrorKind::InvalidData);
    let no_file = u64::from(u32::MAX) << 32; // and no auxiliary vector before it
    Ok([
        field(26)?,
        field(27)?, // code
        field(45)?,
        field(46)?, // data
        end,
        end,        // the heap, empty
        field(28)?, // stack
        field(48)?,
        field(49)?, // arguments
        field(50)?,
        field(51)?, // environment
        0,
        no_file,
    ])
}

/// Where the data of a program at fixed addresses ends (elf(5)), up to a whole page: its break without randomization.
fn end_of_data(program: &str) -> Result<u64> {
    let file = File::open(program)?;
    let word = |at: u64, size: usize| -> Result<u64> {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes[..size], at)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let (table, size, count) = (word(32, 8)?, word(54, 2)?, word(56, 2)?);
    let mut end = 0;
    for header in (0..count).map(|number| table + number * size) {
        if word(header, 4)? == u64::from(PT_LOAD) {
            end = end.max(word(header + 16, 8)? + word(header + 40, 8)?);
        }
    }
    Ok(end.div_ceil(PAGE) * PAGE)
}

/// Wait until it stands before its new program's first instruction; false where it has ended. Signals go on to it.
fn executed(pid: libc::pid_t) -> Result<bool> {
    const EXECUTED: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;
    const RETURNS: i32 = libc::SIGTRAP | 0x80; // ptrace(2), PTRACE_O_TRACESYSGOOD
    loop {
        let status = wait(pid)?;
        if !libc::WIFSTOPPED(status) || libc::WSTOPSIG(status) == RETURNS {
            return Ok(libc::WIFSTOPPED(status));
        }
        if status >> 8 == EXECUTED {
            // Inside of execve(2) still, whose end would put its result over a register.
            ptrace(libc::PTRACE_SYSCALL, pid, 0, 0)?;
        } else {
            ptrace(libc::PTRACE_CONT, pid, 0, libc::WSTOPSIG(status) as u64)?;
        }
    }
}

fn wait(pid: libc::pid_t) -> Result<i32> {
    let mut status = 0;
    // SAFETY: status is valid for the write.
    while unsafe { libc::waitpid(pid, &mut status, libc::__WALL) } < 0 {
        let error = Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(status)
}

fn ptrace(request: libc::c_uint, pid: libc::pid_t, address: u64, data: u64) -> Result<()> {
    // SAFETY: the requests that come here take no pointers of ours but those of registers(), set_registers().
    sys::check(unsafe { libc::ptrace(request, pid, address, data) } as libc::c_int).map(drop)
}

fn registers(pid: libc::pid_t) -> Result<libc::user_regs_struct> {
    // SAFETY: all zeros are valid registers.
    let mut found: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    ptrace(libc::PTRACE_GETREGS, pid, 0, std::ptr::from_mut(&mut found) as u64)?;
    Ok(found)
}

fn set_registers(pid: libc::pid_t, wanted: &libc::user_regs_struct) -> Result<()> {
    ptrace(libc::PTRACE_SETREGS, pid, 0, std::ptr::from_ref(wanted) as u64)
}
