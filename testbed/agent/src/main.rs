// SPDX-License-Identifier: MIT
//! The far side of testbed: PID 1 of a guest, the first process of a host namespace, or the launcher of a guest.
//!
//! Layers: `sys` (system calls), `netlink`, `pcapng`, `wire`, `protocol` (formats); `node`, `rootfs`, `netconf`, `bringup`, `shape`,
//! `spawn`, `capture`, `inject`, `readiness` (one concept each); `server` (the loop); `netns`, `launcher` (modes).

mod bringup;
mod capability;
mod capture;
mod clock;
mod error;
mod inject;
mod kernlog;
mod launcher;
mod netconf;
mod netlink;
mod netns;
mod node;
mod offload;
mod pcapng;
mod process;
mod protocol;
mod readiness;
mod remote;
mod ring;
mod rootfs;
mod server;
mod shape;
mod spawn;
mod sys;
mod traffic;
mod wire;

use std::fs::OpenOptions;

use error::{Context, Error, Result};
use server::{Place, Server};
use wire::Channel;

const USAGE: &str = "usage: agent netns --fd N|--stdio [--shares FOLDER...] | agent guest --cpu N -- KERNEL ARGS...";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if sys::getpid() == 1 && args.first().map_or(true, |a| a != "netns") {
        if let Err(e) = guest() {
            eprintln!("agent: {e}");
        }
        sys::power_off();
    }
    match mode(&args) {
        Ok(code) => std::process::exit(code),
        Err(e) => {
            eprintln!("agent: {}", e.what);
            std::process::exit(2);
        }
    }
}

fn mode(args: &[String]) -> Result<i32> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u16>().map_err(|_| Error::usage(format!("'{text}' is no number; {USAGE}")));
    match words.as_slice() {
        ["netns", "--stdio"] => netns::serve(None, Vec::new()),
        ["netns", "--fd", fd] => netns::serve(Some(i32::from(number(fd)?)), Vec::new()),
        ["netns", "--fd", fd, "--shares", shares @ ..] => {
            netns::serve(Some(i32::from(number(fd)?)), shares.iter().map(|s| (*s).to_owned()).collect())
        }
        ["guest", "--cpu", cpu, "--", ..] => launcher::launch(usize::from(number(cpu)?), &args[4..]).map(|()| 0),
        _ => Err(Error::usage(USAGE)),
    }
}

/// PID 1 of a guest: serve on the host channel, then end the guest.
fn guest() -> Result<()> {
    const CHANNEL: &str = "/dev/hostchan";
    sys::prctl(libc::PR_SET_TIMERSLACK, 1).context(|| "timer slack")?;
    if std::fs::metadata(CHANNEL).is_err() {
        sys::mount("dev", "/dev", "devtmpfs", 0, "").context(|| "mounting /dev")?;
    }
    sys::mount("proc", "/proc", "proc", 0, "").context(|| "mounting /proc")?;
    let channel = OpenOptions::new().read(true).write(true).open(CHANNEL).context(|| CHANNEL)?;
    Server::new(Channel::new(channel, None), Place::Guest, Vec::new(), None)?.serve().context(|| "the channel")
}
