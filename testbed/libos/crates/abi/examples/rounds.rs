// SPDX-License-Identifier: MIT
//! What the layers above an I/O path cost: messages of 64 bytes through a pipe with nothing below, by the C ABI.
//!
//! `valgrind --tool=callgrind target/.../release/examples/rounds 2000`, less the same with 1000, is the instructions of 1000
//! rounds: a push and a pop, both waited for, and the free of what was popped.

use std::ptr::null;

use abi::layout::{Args, QResult};
use null::Null;

abi::export_libos!(Null, "null");

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(1000);
    let args = Args { argc: 0, argv: null(), log_callback: None };
    let (mut left, mut right, mut push, mut pop) = (0, 0, 0, 0);
    let mut errors = 0;
    // SAFETY: places of this function; names end in null bytes; the result of a pop has an array.
    unsafe {
        let mut result: QResult = std::mem::zeroed();
        errors +=
            demi_init(&args) + demi_create_pipe(&mut left, c"p".as_ptr()) + demi_open_pipe(&mut right, c"p".as_ptr());
        let out = demi_sgaalloc(64);
        for _ in 0..rounds {
            errors += demi_push(&mut push, left, &out) + demi_wait(&mut result, push, null());
            errors += demi_pop(&mut pop, right) + demi_wait(&mut result, pop, null());
            let mut got = result.value.sga;
            errors += demi_sgafree(&mut got);
        }
    }
    println!("{rounds} rounds, sum of the errnos {errors}");
}
