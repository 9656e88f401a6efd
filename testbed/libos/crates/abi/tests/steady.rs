// SPDX-License-Identifier: MIT
//! A push, a pop and their waits allocate nothing once everything has its size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null;

use abi::layout::{Args, QResult, SgArray};
use null::Null;

abi::export_libos!(Null, "null");

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the same promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the same promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One message through a pipe, in the C program's way, with every kind of wait.
fn round(left: i32, right: i32, bytes: usize) {
    // SAFETY: a plain structure of C.
    let mut result: [QResult; 2] = unsafe { std::mem::zeroed() };
    let (mut push, mut pop, mut offset, mut count) = (0, 0, 0, 0);
    let mut out = demi_sgaalloc(bytes);
    assert_eq!({ out.numsegs }, 1);
    // SAFETY: places of this function.
    unsafe {
        assert_eq!(demi_pop(&mut pop, right), 0);
        assert_eq!(demi_push(&mut push, left, &out), 0);
        assert_eq!(demi_wait(&mut result[0], push, null()), 0);
        assert_eq!(demi_sgafree(&mut out), 0);
        assert_eq!(demi_wait_any(&mut result[0], &mut offset, &pop, 1, null()), 0);
        let mut got: SgArray = result[0].value.sga;
        assert_eq!({ got.segs[0].len } as usize, bytes);
        assert_eq!(demi_push(&mut push, left, &got), 0);
        assert_eq!(demi_sgafree(&mut got), 0);
        assert_eq!(demi_pop(&mut pop, right), 0);
        assert_eq!(demi_wait_next_n(result.as_mut_ptr(), 2, &mut count, null()), 0);
        assert_eq!(count, 2);
        let mut again: SgArray = result[1].value.sga;
        assert_eq!(demi_sgafree(&mut again), 0);
    }
}

#[test]
fn nothing_is_allocated_in_steady_state() {
    let args = Args { argc: 0, argv: null(), log_callback: None };
    let (mut left, mut right) = (0, 0);
    // SAFETY: places of this function.
    unsafe {
        assert_eq!(demi_init(&args), 0);
        assert_eq!(demi_create_pipe(&mut left, c"pipe".as_ptr()), 0);
        assert_eq!(demi_open_pipe(&mut right, c"pipe".as_ptr()), 0);
    }
    for bytes in [64, 1460, 60000] {
        for _ in 0..10 {
            round(left, right, bytes);
        }
        let before = COUNT.get();
        for _ in 0..1000 {
            round(left, right, bytes);
        }
        assert_eq!(COUNT.get() - before, 0, "allocations in 1000 rounds of {bytes} bytes");
    }
    let before = COUNT.get();
    drop(std::hint::black_box(vec![0_u8; 100]));
    assert_eq!(COUNT.get() - before, 1, "the counter counts");
}
