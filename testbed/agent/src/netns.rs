// SPDX-License-Identifier: MIT
//! `agent netns --fd N`: namespaces of the host's kernel, that vanish with the parent.

use std::fs;
use std::fs::File;

use crate::error::{Context, Error, Kind, Result};
use crate::server::{Place, Server};
use crate::sys;

/// Serve on descriptor `fd` from inside new namespaces; the exit code.
pub fn serve(fd: i32, shares: Vec<String>) -> Result<i32> {
    let channel = sys::adopt(fd).context(|| format!("descriptor {fd}"))?;
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
    let mut server = Server::new(File::from(channel), Place::Netns { user }, shares, broken)?;
    server.serve().context(|| "the channel")?;
    Ok(0)
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
