// SPDX-License-Identifier: MIT
//! What the guest's kernel has said since it booted (Documentation/ABI/testing/dev-kmsg).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::error::{Context, Result};

/// Records of this priority or a worse one are worth telling (5 = notice).
const WORST_TOLD: u32 = 5;

pub struct KernelLog {
    device: File,
}

impl KernelLog {
    /// Start after what is in the log now.
    pub fn open() -> Result<Self> {
        let mut device =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").context(|| "/dev/kmsg")?;
        device.seek(SeekFrom::End(0)).context(|| "/dev/kmsg")?;
        Ok(KernelLog { device })
    }

    /// All records since then, a line each, and the kernel's taint.
    pub fn read(&mut self) -> Result<(String, u64)> {
        let mut lines = String::new();
        let mut record = vec![0; 16 << 10];
        loop {
            match self.device.read(&mut record) {
                Ok(0) => break,
                Ok(length) => lines.extend(line(&String::from_utf8_lossy(&record[..length]))),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // Records were overwritten before they were read: the next read goes on with the oldest left.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => lines.push_str("... records were lost\n"),
                Err(e) => return Err(crate::error::Error::os("/dev/kmsg", &e)),
            }
        }
        let taint = std::fs::read_to_string("/proc/sys/kernel/tainted").context(|| "the kernel's taint")?;
        Ok((lines, taint.trim().parse().unwrap_or(0)))
    }
}

/// `seconds prio text` of one record: `prio,sequence,microseconds,flags;text`.
fn line(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse::<u32>().ok()? & 7;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    if priority > WORST_TOLD {
        return None;
    }
    let text = text.lines().next().unwrap_or("");
    Some(format!("{}.{:06} {priority} {text}\n", micros / 1_000_000, micros % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_becomes_a_line() {
        let record = "4,812,2000017,-;WARNING: CPU: 0\n SUBSYSTEM=net\n";
        assert_eq!(line(record).unwrap(), "2.000017 4 WARNING: CPU: 0\n");
    }

    #[test]
    fn chatter_is_left_out() {
        assert_eq!(line("6,1,1,-;info"), None);
        assert_eq!(line("garbage"), None);
    }
}
