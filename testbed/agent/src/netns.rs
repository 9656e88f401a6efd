// SPDX-License-Identifier: MIT
//! `agent netns --fd N` or `--stdio`: namespaces of the host's kernel, that vanish with the parent.

use std::fs;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::error::{Context, Error, Kind, Result};
use crate::server::{Place, Server};
use crate::sys;
use crate::wire::Channel;

/// Serve on descriptor `fd` (None: stdin and stdout) from inside new namespaces; the exit code.
pub fn serve(fd: Option<i32>, shares: Vec<String>) -> Result<i32> {
    let adopt = |fd: i32| sys::adopt(fd).map(File::from).context(|| format!("descriptor {fd}"));
    let channel = match fd {
        Some(fd) => Channel::new(adopt(fd)?, None),
        None => Channel::new(adopt(libc::STDIN_FILENO)?, Some(adopt(libc::STDOUT_FILENO)?)),
    };
    sys::die_with_parent(sys::getppid()).context(|| "PR_SET_PDEATHSIG")?;
    let user = sys::ids().0 != 0;
    // Kept and told when the host asks: the channel is where errors are expected.
    let broken = isolate(user).err().map(|mut e| {
        e.kind = Kind::Capability;
        e
    });
    let outer = sys::getpid();
    let child = sys::fork().context(|| "fork")?;
    if child != 0 {
        drop(channel);
        let status = sys::waitpid(child).context(|| "waiting for the agent")?;
        return Ok(if status == 0 { 0 } else { 1 });
    }
    // In a PID namespace of its own the parent's pid reads as 0.
    let seen = if broken.is_some() { outer } else { 0 };
    sys::die_with_parent(seen).context(|| "PR_SET_PDEATHSIG")?;
    let mut server = Server::new(channel, Place::Netns { user }, shares, broken)?;
    server.serve().context(|| "the channel")?;
    Ok(0)
}

/// Go on in a user namespace below the one that made the mounts: the kernel then locks them, so that not even root in a
/// node can make a read-only one writable or look below it (mount_namespaces(7)), remount or mount the host's disks, or
/// make device nodes. What is made from now on, network namespaces above all, is ours entirely.
pub fn lock_in() -> Result<()> {
    const WHAT: &str = "a user namespace (it keeps the host's files safe; user.max_user_namespaces must allow it)";
    let maps = [same_ids("uid_map")?, same_ids("gid_map")?];
    let (mut here, mut there) = UnixStream::pair().context(|| "a socket pair")?;
    let owner = sys::getpid();
    // The maps of more than one id are for a process outside to write.
    let helper = sys::fork().context(|| "fork")?;
    if helper == 0 {
        drop(here);
        std::process::exit(i32::from(there.read(&mut [0]).and_then(|_| write_maps(owner, &maps)).is_err()));
    }
    drop(there);
    let kinds = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
    let made = sys::unshare(libc::CLONE_NEWUSER | kinds);
    here.write_all(b"x").context(|| "the helper")?;
    let status = sys::waitpid(helper).context(|| "waiting for the helper")?;
    made.map_err(|e| Error { kind: Kind::Capability, ..Error::os(WHAT, &e) })?;
    if status != 0 {
        return Err(Error::capability("the ids of a user namespace cannot be mapped"));
    }
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong).context(|| "PR_SET_PDEATHSIG")
}

/// The lines of a map that gives every id of this namespace to itself.
fn same_ids(name: &str) -> Result<(String, String)> {
    let path = format!("/proc/self/{name}");
    let text = fs::read_to_string(&path).context(|| path.clone())?;
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (first, count) = (fields.next()?, fields.nth(1)?);
        Some(format!("{first} {first} {count}\n"))
    });
    Ok((name.to_owned(), lines.collect()))
}

fn write_maps(pid: libc::pid_t, maps: &[(String, String)]) -> std::io::Result<()> {
    maps.iter().try_for_each(|(name, lines)| fs::write(format!("/proc/{pid}/{name}"), lines))
}

fn isolate(user: bool) -> Result<()> {
    let (uid, gid) = sys::ids();
    if user {
        sys::unshare(libc::CLONE_NEWUSER).map_err(|e| {
            Error::os("making a user namespace (needs root, or kernel.unprivileged_userns_clone=1 and no AppArmor restriction)", &e)
        })?;
        let write = |name: &str, text: String| {
            fs::write(format!("/proc/self/{name}"), text).context(|| format!("writing {name}"))
        };
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("0 {uid} 1"))?;
        write("gid_map", format!("0 {gid} 1"))?;
    }
    let kinds = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET | libc::CLONE_NEWPID;
    sys::unshare(kinds).context(|| "making namespaces")
}
