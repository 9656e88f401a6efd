// SPDX-License-Identifier: MIT
//! Starting a program in a node. The child shares the agent's memory until it executes (vfork), which in a guest
//! saves a whole address space; so between clone and exec it makes system calls and nothing else.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::error::{Context, Error, Result};
use crate::sys;

/// What a program starts with.
pub struct Program<'a> {
    pub argv: &'a [String],
    pub env: &'a BTreeMap<String, String>,
    pub cwd: &'a str,
    /// stdin, stdout, stderr.
    pub stdio: [BorrowedFd<'a>; 3],
    pub net: BorrowedFd<'a>,
    pub mount: BorrowedFd<'a>,
    pub uts: BorrowedFd<'a>,
    /// Bytes that a file of this program may have (RLIMIT_FSIZE).
    pub output_limit: u64,
}

const STACK: usize = 64 << 10;
const OPEN_FILES: libc::rlim_t = 1024;
const CAP_SYS_PTRACE: libc::c_ulong = 19;

/// All that the child needs, made ready before it exists.
struct Plan {
    paths: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    cwd: CString,
    stdio: [libc::c_int; 3],
    namespaces: [(libc::c_int, libc::c_int); 3],
    output_limit: libc::rlim_t,
    /// Written by the child: the step that failed and its errno.
    failed: (&'static str, libc::c_int),
}

/// Start a program; its pid once it runs. A program that cannot be executed is an `os` error with the exec's errno.
pub fn spawn(program: &Program<'_>) -> Result<libc::pid_t> {
    let Some(name) = program.argv.first() else {
        return Err(Error::usage("argv is empty: it starts with the program's name"));
    };
    let text = |s: &str| sys::cstring(s).context(|| format!("a NUL in {s:?}"));
    let argv: Vec<CString> = program.argv.iter().map(|a| text(a)).collect::<Result<_>>()?;
    let env: Vec<CString> = program.env.iter().map(|(k, v)| text(&format!("{k}={v}"))).collect::<Result<_>>()?;
    let paths = candidates(name, program.env.get("PATH").map_or("", String::as_str));
    let mut plan = Plan {
        paths: paths.iter().map(|p| text(p)).collect::<Result<_>>()?,
        argv: pointers(&argv),
        envp: pointers(&env),
        cwd: text(program.cwd)?,
        stdio: program.stdio.map(|fd| fd.as_raw_fd()),
        namespaces: [
            (program.net.as_raw_fd(), libc::CLONE_NEWNET),
            (program.uts.as_raw_fd(), libc::CLONE_NEWUTS),
            (program.mount.as_raw_fd(), libc::CLONE_NEWNS),
        ],
        output_limit: program.output_limit as libc::rlim_t,
        failed: ("", 0),
    };
    let mut stack = vec![0_u8; STACK];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs `child` on its own stack, aligned and alive until the clone returns; CLONE_VFORK stops
    // the parent (its only thread) meanwhile, so plan is never used by two at a time.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(STACK - 64);
        let top = top.sub(top as usize % 16);
        sys::check(libc::clone(child, top.cast(), flags, ptr::from_mut(&mut plan).cast()))
    }
    .context(|| format!("starting {name}"))?;
    // SAFETY: plan is alive; the child wrote to it behind the compiler's back.
    let (step, errno) = unsafe { ptr::read_volatile(&plan.failed) };
    if errno != 0 {
        let _ = sys::waitpid(pid);
        return Err(Error::os(step_text(step, program), &io::Error::from_raw_os_error(errno)));
    }
    Ok(pid)
}

fn step_text(step: &str, program: &Program<'_>) -> String {
    match step {
        "exec" => format!("cannot run '{}'", program.argv[0]),
        "cwd" => format!("cannot change to the folder '{}'", program.cwd),
        other => format!("starting '{}': {other}", program.argv[0]),
    }
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|w| w.as_ptr()).chain([ptr::null()]).collect()
}

/// Where a program may be: as execvp(3) looks, with the PATH that the program gets.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') || name.is_empty() {
        return vec![name.to_owned()];
    }
    let path = if path.is_empty() { "/usr/bin:/bin" } else { path };
    path.split(':').map(|d| if d.is_empty() { name.to_owned() } else { format!("{d}/{name}") }).collect()
}

extern "C" fn child(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: spawn passes its Plan, and is stopped until this child executes or ends.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    plan.failed = start(plan);
    // SAFETY: ends this child only; nothing of the parent's is run.
    unsafe { libc::_exit(127) }
}

/// Become the program; comes back only with what failed.
fn start(plan: &Plan) -> (&'static str, libc::c_int) {
    // SAFETY: plain system calls on numbers and on strings that `plan` keeps alive; errno is per task here because the
    // parent does not run.
    unsafe {
        for (fd, kind) in plan.namespaces {
            if libc::setns(fd, kind) != 0 {
                return ("entering the node", *libc::__errno_location());
            }
        }
        libc::setsid();
        if libc::chdir(plan.cwd.as_ptr()) != 0 {
            return ("cwd", *libc::__errno_location());
        }
        for (number, fd) in plan.stdio.iter().enumerate() {
            if libc::dup2(*fd, number as libc::c_int) < 0 {
                return ("stdio", *libc::__errno_location());
            }
        }
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        let files = libc::rlimit { rlim_cur: OPEN_FILES, rlim_max: OPEN_FILES };
        libc::setrlimit(libc::RLIMIT_NOFILE, &files);
        let size = libc::rlimit { rlim_cur: plan.output_limit, rlim_max: plan.output_limit };
        libc::setrlimit(libc::RLIMIT_FSIZE, &size);
        libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0);
        // A program may trace its own kind, but not PID 1, which has this capability and speaks with the host.
        libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0);
        libc::umask(0o022);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        let mut errno = libc::ENOENT;
        for path in &plan.paths {
            libc::execve(path.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr());
            match *libc::__errno_location() {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => errno = libc::EACCES,
                other => return ("exec", other),
            }
        }
        ("exec", errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_along_path() {
        assert_eq!(candidates("ls", "/a:/b"), ["/a/ls", "/b/ls"]);
        assert_eq!(candidates("ls", ""), ["/usr/bin/ls", "/bin/ls"]);
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert_eq!(candidates("./ls", "/a"), ["./ls"]);
    }
}
