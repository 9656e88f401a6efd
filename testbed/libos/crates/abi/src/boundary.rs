// SPDX-License-Identifier: MIT
//! Between C and Rust: one engine per thread, and no panic ever passes.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::thread::LocalKey;

use queue::{Engine, Errno, IoPath, Token};

use crate::memory::{Memory, Pinned};

/// What a thread has after its `demi_init`.
pub struct LibOs<P: IoPath> {
    pub engine: Engine<P, Pinned>,
    pub memory: Rc<Memory>,
    /// The tokens of a `demi_wait_any`, kept so that none allocates.
    pub tokens: Vec<Token>,
}

/// The thread's place for it.
pub struct Local<P: IoPath>(RefCell<Option<LibOs<P>>>);

impl<P: IoPath> Local<P> {
    #[allow(clippy::new_without_default)] // `Default` is not const
    pub const fn new() -> Local<P> {
        Local(RefCell::new(None))
    }
}

impl<P: IoPath> Drop for Local<P> {
    /// A panic while a thread ends would abort the process.
    fn drop(&mut self) {
        guard("the end of a thread", || {
            drop(self.0.take());
            Ok(())
        });
    }
}

/// Run `call` on the thread's engine: 0, or its errno. `ENOSYS` before `demi_init`, and while the thread ends; `EDEADLK`
/// from within another call, which only a log callback can do; `EIO` where it panicked.
pub fn with<P: IoPath>(
    key: &'static LocalKey<Local<P>>,
    name: &str,
    call: impl FnOnce(&mut LibOs<P>) -> Result<(), Errno>,
) -> c_int {
    with_slot(key, name, |slot| call(slot.as_mut().ok_or(Errno::ENOSYS)?))
}

/// As [`with`], before there is an engine.
pub fn with_slot<P: IoPath>(
    key: &'static LocalKey<Local<P>>,
    name: &str,
    call: impl FnOnce(&mut Option<LibOs<P>>) -> Result<(), Errno>,
) -> c_int {
    guard(name, || {
        key.try_with(|local| {
            let mut slot = local.0.try_borrow_mut().map_err(|_| Errno::EDEADLK)?;
            call(&mut slot)
        })
        .map_err(|_| Errno::ENOSYS)?
    })
}

fn guard(name: &str, call: impl FnOnce() -> Result<(), Errno>) -> c_int {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => 0,
        Ok(Err(errno)) => errno.number(),
        Err(payload) => {
            let said = words(&*payload);
            // Formatting or the program's callback may panic, too; then there is nothing left to say.
            let _ = catch_unwind(|| log::error!("panic in {name}: {said}"));
            // What a payload does when it is dropped is anybody's guess; if that is a panic, the next one is not dropped.
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(another);
            }
            Errno::EIO.number()
        }
    }
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_string())
}
