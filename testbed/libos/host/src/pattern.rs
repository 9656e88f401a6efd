// SPDX-License-Identifier: MIT
//! Bytes that show where they belong: a byte that is lost, doubled or swapped is seen.

use crate::engine::{Failure, Result};

/// The byte at a position of a stream.
#[allow(clippy::cast_possible_truncation)] // the low byte is what is wanted
fn byte(stream: u64, position: u64) -> u8 {
    let mixed = (position ^ (position >> 8) ^ (position >> 16)).wrapping_mul(167);
    mixed.wrapping_add(stream.wrapping_mul(29)) as u8
}

/// Write the bytes of a stream from a position on.
pub fn fill(bytes: &mut [u8], stream: u64, from: u64) {
    for (position, place) in (from..).zip(bytes) {
        *place = byte(stream, position);
    }
}

/// Check the bytes of a stream from a position on.
pub fn check(bytes: &[u8], stream: u64, from: u64) -> Result<()> {
    match (from..).zip(bytes).find(|(position, found)| byte(stream, *position) != **found) {
        None => Ok(()),
        Some((position, found)) => Err(Failure::wrong(format!(
            "byte {position} of stream {stream} is {found:#04x}, wanted {:#04x}",
            byte(stream, position)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{check, fill};

    #[test]
    fn a_lost_byte_is_found() {
        let mut bytes = [0; 1000];
        fill(&mut bytes, 3, 500);
        assert!(check(&bytes, 3, 500).is_ok());
        assert!(check(&bytes[1..], 3, 500).is_err());
        assert!(check(&bytes, 4, 500).is_err());
        bytes.swap(998, 999);
        assert!(check(&bytes, 3, 500).is_err());
    }
}
