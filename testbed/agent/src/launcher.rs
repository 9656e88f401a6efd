// SPDX-License-Identifier: MIT
//! `agent guest --cpu N -- KERNEL ARGS`: what has to be set on the host before a guest's kernel starts.

mod heap;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::error::{Context, Error, Result};
use crate::sys;

/// Become the kernel; comes back only with what failed. Descriptors 0 to 4 stay open.
pub fn launch(cpu: usize, command: &[String]) -> Result<()> {
    let Some((program, args)) = command.split_first() else {
        return Err(Error::usage("agent guest --cpu N -- KERNEL ARGS: no kernel"));
    };
    sys::die_with_parent(sys::getppid()).context(|| "PR_SET_PDEATHSIG")?;
    same_addresses(program)?;
    sys::pin(cpu).context(|| format!("pinning to CPU {cpu}"))?;
    sys::raise_open_files().context(|| "RLIMIT_NOFILE")?;
    sys::close_from(5).context(|| "close_range")?;
    let failed = Command::new(program).args(args).exec();
    Err(Error::os(format!("cannot run {program}"), &failed))
}

/// The same addresses every time: without randomization, or where a container forbids that, with what shows put right.
fn same_addresses(program: &str) -> Result<()> {
    let Err(refused) = sys::no_aslr() else { return Ok(()) };
    if refused.kind() != io::ErrorKind::PermissionDenied {
        return Err(Error::os("personality(ADDR_NO_RANDOMIZE)", &refused));
    }
    heap::settle_at_exec(program).context(|| "personality(2) and, in its place, tracing the kernel's start")
}
