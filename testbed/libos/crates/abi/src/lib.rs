// SPDX-License-Identifier: MIT
//! The C ABI of PDPIX (`include/demi.h`) over an engine.
//!
//! A flavor says `abi::export_libos!(Catnap, "catnap");` in its crate, and its shared library has the 20 functions. A crate
//! that says so can be in no other flavor's library: what flavors share belongs into `crates/`.

pub mod boundary;
pub mod calls;
mod config;
pub mod layout;
mod logging;
mod memory;

pub use boundary::Local;
pub use config::parse as parse_config;

/// Export the C ABI of a flavor: its `IoPath` and its name.
#[macro_export]
macro_rules! export_libos {
    ($path:ty, $flavor:literal) => {
        ::std::thread_local! {
            static LIBOS: $crate::Local<$path> = const { $crate::Local::new() };
        }

        $crate::export_libos! { @functions
            demi_init(args: *const $crate::layout::Args) = init[$flavor];
            demi_socket(out: *mut i32, domain: i32, kind: i32, protocol: i32) = socket;
            demi_bind(qd: i32, addr: *const ::std::ffi::c_void, len: u32) = bind;
            demi_accept(out: *mut u64, qd: i32) = accept;
            demi_connect(out: *mut u64, qd: i32, addr: *const ::std::ffi::c_void, len: u32) = connect;
            demi_push(out: *mut u64, qd: i32, sga: *const $crate::layout::SgArray) = push;
            demi_pushto(
                out: *mut u64, qd: i32, sga: *const $crate::layout::SgArray, to: *const ::std::ffi::c_void, len: u32
            ) = pushto;
            demi_pop(out: *mut u64, qd: i32) = pop;
            demi_setsockopt(qd: i32, level: i32, name: i32, value: *const ::std::ffi::c_void, len: u32) = setsockopt;
            demi_getsockopt(
                qd: i32, level: i32, name: i32, value: *mut ::std::ffi::c_void, len: *mut u32
            ) = getsockopt;
            demi_getpeername(qd: i32, addr: *mut ::std::ffi::c_void, len: *mut u32) = getpeername;
            demi_sgafree(sga: *mut $crate::layout::SgArray) = sgafree;
            demi_wait(out: *mut $crate::layout::QResult, token: u64, timeout: *const $crate::Timespec) = wait;
            demi_wait_any(
                out: *mut $crate::layout::QResult, offset: *mut i32, tokens: *const u64, count: i32,
                timeout: *const $crate::Timespec
            ) = wait_any;
            demi_wait_next_n(
                out: *mut $crate::layout::QResult, most: i32, count: *mut i32, timeout: *const $crate::Timespec
            ) = wait_next_n;
            demi_create_pipe(out: *mut i32, name: *const ::std::ffi::c_char) = create_pipe;
            demi_open_pipe(out: *mut i32, name: *const ::std::ffi::c_char) = open_pipe;
        }

        #[no_mangle]
        pub extern "C" fn demi_listen(qd: i32, backlog: i32) -> i32 {
            $crate::calls::listen(&LIBOS, qd, backlog)
        }

        #[no_mangle]
        pub extern "C" fn demi_close(qd: i32) -> i32 {
            $crate::calls::close(&LIBOS, qd)
        }

        /// Not of PDPIX: move what this thread's engine has under way until the descriptor can be read; for whoever waits for
        /// something else than an operation, such as the next request of the harness.
        #[no_mangle]
        pub extern "C" fn testbed_drive(fd: i32) -> i32 {
            $crate::calls::drive(&LIBOS, fd)
        }

        #[no_mangle]
        pub extern "C" fn demi_sgaalloc(size: usize) -> $crate::layout::SgArray {
            $crate::calls::sgaalloc(&LIBOS, size)
        }
    };
    (@functions $($name:ident($($arg:ident: $kind:ty),*) = $call:ident $([$flavor:literal])?;)*) => {$(
        /// # Safety
        /// Pointers are null, or point to what `include/demi.h` says.
        #[no_mangle]
        pub unsafe extern "C" fn $name($($arg: $kind),*) -> i32 {
            // SAFETY: the same promise.
            unsafe { $crate::calls::$call(&LIBOS, $($flavor,)? $($arg),*) }
        }
    )*};
}

pub use libc::timespec as Timespec;
