// SPDX-License-Identifier: MIT
//! System calls that std has no safe words for. Every function here is safe to call; see spawn.rs, ring.rs for the rest.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

/// Turn C's -1 into errno.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A C string; an inner NUL is EINVAL, as the kernel could never be given one.
pub fn cstring(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Own a descriptor that a system call has just made.
pub fn own(fd: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(fd)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Own a descriptor that was handed to this process by number (the channel); fails where it is not open.
pub fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes no pointers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    own(fd)
}

/// Nanoseconds of a clock.
pub fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is valid for the write; both clocks used always exist.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// Let the table of descriptors have room for so many more now, while nobody shares it.
pub fn make_room_for_files(count: usize) -> io::Result<()> {
    // SAFETY: takes no pointers; the descriptor is ours alone.
    unsafe {
        let fd = check(libc::fcntl(0, libc::F_DUPFD_CLOEXEC, count as libc::c_int))?;
        check(libc::close(fd)).map(drop)
    }
}

pub fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

pub fn setns(fd: BorrowedFd<'_>, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::setns(fd.as_raw_fd(), kind) }).map(drop)
}

/// mount(2); empty words are given as null.
pub fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let (source, target, kind, data) = (cstring(source)?, cstring(target)?, cstring(kind)?, cstring(data)?);
    let kind = if kind.is_empty() { std::ptr::null() } else { kind.as_ptr() };
    let data = if data.is_empty() { std::ptr::null() } else { data.as_ptr().cast() };
    // SAFETY: all strings live until the call returns; null is allowed for both that may be null.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, data) }).map(drop)
}

pub fn umount_detach(target: &str) -> io::Result<()> {
    let target = cstring(target)?;
    // SAFETY: the string lives until the call returns.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Make `new_root` the root folder and let go of the old one (pivot_root(2), "pivot_root(".", ".")").
pub fn switch_root(new_root: &str) -> io::Result<()> {
    std::env::set_current_dir(new_root)?;
    // SAFETY: both strings are constants.
    if unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    umount_detach(".")?;
    std::env::set_current_dir("/")
}

pub fn sethostname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe the same string.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Kernel release and machine, as `uname -r -m` prints them.
pub fn uname() -> io::Result<(String, String)> {
    // SAFETY: all-zero is a valid utsname.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: names is valid for the write.
    check(unsafe { libc::uname(&mut names) })?;
    // SAFETY: the kernel ends both fields with NUL.
    let text = |field: &[libc::c_char]| unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned();
    Ok((text(&names.release), text(&names.machine)))
}

/// prctl(2) with one number.
pub fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: only options that take a number are used here.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) }).map(drop)
}

/// Die by SIGKILL when the parent dies; it may have died already, which `parent` tells.
pub fn die_with_parent(parent: libc::pid_t) -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    // SAFETY: takes nothing.
    if unsafe { libc::getppid() } != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

pub fn getppid() -> libc::pid_t {
    // SAFETY: takes nothing.
    unsafe { libc::getppid() }
}

pub fn ids() -> (libc::uid_t, libc::gid_t) {
    // SAFETY: takes nothing.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// fork(2) for a process with one thread; 0 in the child.
pub fn fork() -> io::Result<libc::pid_t> {
    // SAFETY: the agent has one thread, so no lock can be held by another one.
    check(unsafe { libc::fork() })
}

/// Wait for one child by its pid; its raw status.
pub fn waitpid(pid: libc::pid_t) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: status is valid for the write.
        match check(unsafe { libc::waitpid(pid, &mut status, 0) }) {
            Ok(_) => return Ok(status),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// What there is to reap now.
pub enum Reaped {
    Child(libc::pid_t, i32),
    NoneYet,
    NoChildren,
}

pub fn reap() -> Reaped {
    let mut status = 0;
    // SAFETY: status is valid for the write.
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
        0 => Reaped::NoneYet,
        pid if pid > 0 => Reaped::Child(pid, status),
        _ => Reaped::NoChildren,
    }
}

pub fn kill(pid: libc::pid_t, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

fn sigset(signals: &[libc::c_int]) -> libc::sigset_t {
    // SAFETY: all-zero is a valid set to initialise; sigemptyset and sigaddset write only to it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

/// Block SIGCHLD and read it from a descriptor instead; ignore SIGPIPE.
pub fn signal_fd() -> io::Result<OwnedFd> {
    let set = sigset(&[libc::SIGCHLD]);
    // SAFETY: set is initialised; SIG_IGN is a valid disposition.
    unsafe {
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        own(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
    }
}

/// A timer on CLOCK_MONOTONIC.
pub fn timer_fd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    own(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })
}

/// Let the timer fire at an absolute time in ns; None disarms it.
pub fn timer_set(timer: BorrowedFd<'_>, at: Option<i64>) -> io::Result<()> {
    let at = at.map_or(0, |t| t.max(1));
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let spec = libc::itimerspec {
        it_interval: zero,
        it_value: libc::timespec { tv_sec: at / 1_000_000_000, tv_nsec: at % 1_000_000_000 },
    };
    // SAFETY: spec is valid for the read; the old value is not asked for.
    check(unsafe { libc::timerfd_settime(timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &spec, std::ptr::null_mut()) })
        .map(drop)
}

/// poll(2): wait, or only look. How many descriptors have something to say.
pub fn poll(fds: &mut [libc::pollfd], wait: bool) -> io::Result<usize> {
    let timeout = if wait { -1 } else { 0 };
    loop {
        // SAFETY: pointer and length describe the same slice.
        match check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) }) {
            Ok(n) => return Ok(n as usize),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

pub fn read(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: pointer and length describe the same slice.
    check_size(unsafe { libc::read(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len()) })
}

pub fn write(fd: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length describe the same slice.
    check_size(unsafe { libc::write(fd.as_raw_fd(), data.as_ptr().cast(), data.len()) })
}

/// A pipe whose write end does not block: (read end, write end).
pub fn pipe_to_child() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: ends has room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let (read_end, write_end) = (own(ends[0])?, own(ends[1])?);
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(write_end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok((read_end, write_end))
}

/// Open a file for reading, by its path below a folder.
pub fn open_below(folder: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    let path = CString::new(path)?;
    // SAFETY: path is a C string.
    let made = unsafe { libc::openat(folder.as_raw_fd(), path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    own(made).map(File::from)
}

/// Write all of a file, from its position to its end, behind what was written to another; the bytes stay in the kernel.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    const MOST: usize = 0x7fff_f000; // sendfile(2), NOTES
    loop {
        // SAFETY: the kernel uses the file's own position where the pointer is null.
        let done = unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), std::ptr::null_mut(), MOST) };
        match done {
            0 => return Ok(()),
            1.. => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

pub fn socket(domain: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    own(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })
}

pub fn bind(fd: BorrowedFd<'_>, addr: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length describe the same slice; the kernel copies before it looks.
    check(unsafe { libc::bind(fd.as_raw_fd(), addr.as_ptr().cast(), addr.len() as libc::socklen_t) }).map(drop)
}

pub fn connect(fd: BorrowedFd<'_>, addr: &[u8]) -> io::Result<()> {
    // SAFETY: as in bind.
    check(unsafe { libc::connect(fd.as_raw_fd(), addr.as_ptr().cast(), addr.len() as libc::socklen_t) }).map(drop)
}

pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
}

/// Room for any socket address.
const ADDRESS: usize = std::mem::size_of::<libc::sockaddr_storage>();

pub fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Vec<u8>)> {
    let mut addr = vec![0_u8; ADDRESS];
    let mut length = ADDRESS as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to addr.
    let made = own(unsafe {
        libc::accept4(fd.as_raw_fd(), addr.as_mut_ptr().cast(), &mut length, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)
    })?;
    addr.truncate(length as usize);
    Ok((made, addr))
}

pub fn sendto(fd: BorrowedFd<'_>, data: &[u8], flags: i32, addr: Option<&[u8]>) -> io::Result<usize> {
    let (to, length) = addr.map_or((std::ptr::null(), 0), |a| (a.as_ptr(), a.len()));
    // SAFETY: pointers and lengths describe the same slices; null with 0 means no address.
    check_size(unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            data.as_ptr().cast(),
            data.len(),
            flags | libc::MSG_NOSIGNAL,
            to.cast(),
            length as libc::socklen_t,
        )
    })
}

/// recvmsg(2) without control data: (length, source address, msg_flags).
pub fn recvmsg(fd: BorrowedFd<'_>, into: &mut [u8], flags: i32) -> io::Result<(usize, Vec<u8>, i32)> {
    let mut addr = vec![0_u8; ADDRESS];
    let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = addr.as_mut_ptr().cast();
    message.msg_namelen = ADDRESS as libc::socklen_t;
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    // SAFETY: the message points to the two buffers above, with their lengths.
    let length = check_size(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, flags) })?;
    addr.truncate(message.msg_namelen as usize);
    Ok((length, addr, message.msg_flags))
}

/// getsockname(2), or getpeername(2) for the `peer`.
pub fn sockname(fd: BorrowedFd<'_>, peer: bool) -> io::Result<Vec<u8>> {
    let mut addr = vec![0_u8; ADDRESS];
    let mut length = ADDRESS as libc::socklen_t;
    let call = if peer { libc::getpeername } else { libc::getsockname };
    // SAFETY: the kernel writes at most `length` bytes to addr.
    check(unsafe { call(fd.as_raw_fd(), addr.as_mut_ptr().cast(), &mut length) })?;
    addr.truncate(length as usize);
    Ok(addr)
}

pub fn setsockopt(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length describe the same slice.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t)
    })
    .map(drop)
}

pub fn getsockopt(fd: BorrowedFd<'_>, level: i32, name: i32, max: usize) -> io::Result<Vec<u8>> {
    let mut value = vec![0_u8; max];
    let mut length = max as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to value.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut length) })?;
    value.truncate(length as usize);
    Ok(value)
}

pub fn shutdown(fd: BorrowedFd<'_>, how: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

/// SIOCETHTOOL on one interface of the socket's namespace; `command` is read and written in place.
pub fn ethtool(socket: BorrowedFd<'_>, interface: &str, command: &mut [u32]) -> io::Result<()> {
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = command.as_mut_ptr().cast();
    // SAFETY: the callers size `command` for what the kernel reads and writes for its first word.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &mut request) }).map(drop)
}

/// End the guest.
pub fn power_off() -> ! {
    // SAFETY: as PID 1 of a guest, nothing is left to be done.
    unsafe {
        libc::reboot(libc::RB_POWER_OFF);
        libc::_exit(0)
    }
}

pub fn getpid() -> libc::pid_t {
    // SAFETY: takes nothing.
    unsafe { libc::getpid() }
}

/// Lend a descriptor that its owner keeps open for the length of the call it is lent to.
pub fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: every caller has taken the number from an owner that outlives the use, within the same function.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// The next program gets the same addresses every time (personality(2)).
pub fn no_aslr() -> io::Result<()> {
    const ADDR_NO_RANDOMIZE: libc::c_ulong = 0x004_0000;
    // SAFETY: takes no pointers.
    check(unsafe { libc::personality(ADDR_NO_RANDOMIZE) }).map(drop)
}

/// Allow as many open files as may be allowed: hostfs keeps one for each file of the host that the guest still caches,
/// so that a low soft limit (1024 is common) shows up in the guest as EMFILE.
pub fn raise_open_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a valid rlimit.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &limit)).map(drop)
    }
}

/// Run on one CPU only.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: all-zero is an empty set; cpu is within it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        check(libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set)).map(drop)
    }
}

/// Close all descriptors from one on; nothing that owns one is used afterwards.
pub fn close_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: called just before exec, when no owner of a descriptor is left to be dropped.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Map a descriptor's memory for reading and writing, shared with the kernel; a fork does not copy it.
pub fn map_shared(fd: BorrowedFd<'_>, length: usize) -> io::Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice harms no other memory.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(memory.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Give back a mapping of `map_shared`, which its owner uses no more.
pub fn unmap(memory: NonNull<u8>, length: usize) {
    // SAFETY: called once, by the owner's drop, with the length that was mapped.
    unsafe { libc::munmap(memory.as_ptr().cast(), length) };
}

/// Give a socket a classic BPF program in place of the one it has.
pub fn attach_filter(fd: BorrowedFd<'_>, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let words = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the struct points to `length` instructions that live until the call returns.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&words).cast(),
            std::mem::size_of_val(&words) as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Wait until a descriptor is readable, for some ms at most.
pub fn poll_for(fd: BorrowedFd<'_>, ms: u32) -> io::Result<()> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, valid for the call.
    check(unsafe { libc::poll(&mut entry, 1, ms as libc::c_int) }).map(drop)
}

/// Make a mount and all below it read-only (mount_setattr(2)).
pub fn read_only_tree(target: &str) -> io::Result<()> {
    const AT_RECURSIVE: libc::c_int = 0x8000;
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let target = cstring(target)?;
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    let attributes = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let size = std::mem::size_of_val(&attributes);
    // SAFETY: path and attributes live until the call returns; the size is that of the attributes.
    let result = unsafe {
        libc::syscall(libc::SYS_mount_setattr, libc::AT_FDCWD, target.as_ptr(), AT_RECURSIVE, attributes.as_ptr(), size)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
