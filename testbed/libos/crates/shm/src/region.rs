// SPDX-License-Identifier: MIT
//! Shared-memory objects with an owner, and the locks that tell whether somebody is alive.

use std::cell::Cell;
use std::ffi::CString;
use std::fs;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::OnceLock;

use queue::Errno;

use crate::layout::Shared;

/// A byte of the object that a process locks (F_OFD_SETLK, fcntl_locking(2)): the kernel unlocks it when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock(pub i64);

/// Whoever made the object.
pub const OWNER: Lock = Lock(0);

/// Longer names would not fit into a file name behind our prefix.
const NAME_MAX: usize = 200;

/// A mapped object. The owner's name for it goes away with the owner's `Region`.
#[derive(Debug)]
pub struct Region<T: Shared> {
    base: NonNull<T>,
    fd: OwnedFd,
    name: CString,
    owned: Cell<bool>,
}

impl<T: Shared> Region<T> {
    /// Make an object and own it.
    ///
    /// # Errors
    /// `EINVAL`, `ENAMETOOLONG`: no such name can be. `EEXIST`: a living process owns one of this name. Else what the
    /// system says (`ENOSPC`, `EMFILE`, ...).
    pub fn create(name: &str) -> Result<Region<T>, Errno> {
        let name = object_name(name)?;
        loop {
            let fd = open(&name, libc::O_CREAT)?;
            if !lock(&fd, OWNER)? {
                return Err(Errno::EEXIST);
            }
            let found = status(&fd)?;
            if found.nlink() == 0 {
                continue; // its owner took the name away between our open and our lock
            }
            if found.size() != 0 {
                unlink(&name); // left behind by a process that died; who still has it open keeps it
                continue;
            }
            // SAFETY: a plain system call on a descriptor that we hold.
            check(unsafe { libc::ftruncate(fd.as_raw_fd(), T::LENGTH as libc::off_t) })?;
            let region: Region<T> = Region { base: map(&fd)?, fd, name, owned: Cell::new(true) };
            region.magic().store(T::MAGIC, Ordering::Release);
            return Ok(region);
        }
    }

    /// Map an object that another made.
    ///
    /// # Errors
    /// As [`Region::create`]; `ENOENT`: there is none, its owner died, or it is not complete yet; `EPROTO`: it is
    /// something else, or of another version of this library.
    pub fn open(name: &str) -> Result<Region<T>, Errno> {
        let name = object_name(name)?;
        let fd = open(&name, 0)?;
        let found = status(&fd)?;
        if found.size() == 0 || found.nlink() == 0 || !held(&fd, OWNER)? {
            return Err(Errno::ENOENT);
        }
        if found.size() != T::LENGTH as u64 {
            return Err(Errno::EPROTO);
        }
        let region: Region<T> = Region { base: map(&fd)?, fd, name, owned: Cell::new(false) };
        match region.magic().load(Ordering::Acquire) {
            0 => Err(Errno::ENOENT),
            magic if magic != T::MAGIC => Err(Errno::EPROTO),
            _ => Ok(region),
        }
    }

    /// Take a lock; whether nobody else had it.
    pub fn lock(&self, which: Lock) -> Result<bool, Errno> {
        lock(&self.fd, which)
    }

    /// Let go of a lock.
    pub fn unlock(&self, which: Lock) {
        if let Err(errno) = set_lock(&self.fd, which, libc::F_UNLCK) {
            log::warn!("unlocking byte {} of {:?}: {errno}", which.0, self.name);
        }
    }

    /// Whether another holder of the object has the lock.
    pub fn held(&self, which: Lock) -> bool {
        held(&self.fd, which).unwrap_or(false)
    }

    /// Take the name away: who has the object open keeps it, nobody new comes.
    pub fn unlink(&self) {
        unlink(&self.name);
        self.owned.set(false);
    }

    /// The first of the bytes behind the header.
    pub(crate) fn data(&self) -> *mut u8 {
        // SAFETY: the mapping is `T::LENGTH` bytes long, which is more than the header's part.
        unsafe { self.base.as_ptr().cast::<u8>().add(crate::layout::DATA) }
    }
}

impl<T: Shared> Deref for Region<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping lives as long as `self`, is aligned to a page, and holds nothing but atomics there (`Shared`).
        unsafe { self.base.as_ref() }
    }
}

impl<T: Shared> Drop for Region<T> {
    fn drop(&mut self) {
        if self.owned.get() {
            unlink(&self.name);
        }
        // SAFETY: `map` made exactly this mapping, and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), T::LENGTH) };
    }
}

/// The object's name: of this network namespace, since descriptors and addresses belong to a node.
fn object_name(name: &str) -> Result<CString, Errno> {
    static PREFIX: OnceLock<String> = OnceLock::new();
    if name.is_empty() || name.contains('/') || name.contains('\0') {
        return Err(Errno::EINVAL);
    }
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let prefix = PREFIX.get_or_init(|| {
        let space = fs::metadata("/proc/self/ns/net").map_or(0, |found| found.ino());
        format!("/testbed-{space:x}-")
    });
    CString::new(format!("{prefix}{name}")).map_err(|_| Errno::EINVAL)
}

fn open(name: &CString, flags: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: a string that ends with NUL; the descriptor that comes back is nobody else's.
    unsafe {
        let fd = check(libc::shm_open(name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC | flags, 0o600))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn unlink(name: &CString) {
    // SAFETY: a string that ends with NUL.
    if let Err(errno) = check(unsafe { libc::shm_unlink(name.as_ptr()) }) {
        if errno != Errno::ENOENT {
            log::warn!("removing the shared memory {name:?}: {errno}");
        }
    }
}

fn map<T: Shared>(fd: &OwnedFd) -> Result<NonNull<T>, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the system's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), T::LENGTH, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().into());
    }
    NonNull::new(base.cast()).ok_or(Errno::ENOMEM)
}

fn status(fd: &OwnedFd) -> Result<fs::Metadata, Errno> {
    Ok(fs::File::from(fd.try_clone()?).metadata()?)
}

fn lock(fd: &OwnedFd, which: Lock) -> Result<bool, Errno> {
    match set_lock(fd, which, libc::F_WRLCK) {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn set_lock(fd: &OwnedFd, which: Lock, kind: libc::c_int) -> Result<(), Errno> {
    let words = words(which, kind);
    // SAFETY: `words` is a valid `struct flock` for the time of the call.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &words) }).map(|_| ())
}

fn held(fd: &OwnedFd, which: Lock) -> Result<bool, Errno> {
    let mut words = words(which, libc::F_WRLCK);
    // SAFETY: as above; the kernel writes into it.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut words) })?;
    Ok(i32::from(words.l_type) != libc::F_UNLCK)
}

fn words(which: Lock, kind: libc::c_int) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: which.0, l_len: 1, l_pid: 0 }
}

fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Duplex;

    fn name(what: &str) -> String {
        format!("region-{}-{what}", std::process::id())
    }

    #[test]
    fn a_name_has_one_owner_at_a_time() {
        let name = name("one");
        let first = Region::<Duplex>::create(&name).unwrap();
        assert_eq!(Region::<Duplex>::create(&name).err(), Some(Errno::EEXIST));
        assert!(Region::<Duplex>::open(&name).is_ok());
        drop(first);
        assert_eq!(Region::<Duplex>::open(&name).err(), Some(Errno::ENOENT));
        assert!(Region::<Duplex>::create(&name).is_ok());
    }

    #[test]
    fn what_a_dead_owner_left_is_absent_and_can_be_made_anew() {
        let name = name("stale");
        let first = Region::<Duplex>::create(&name).unwrap();
        first.owned.set(false); // as if its process had been killed: the name stays, the lock goes
        drop(first);
        assert_eq!(Region::<Duplex>::open(&name).err(), Some(Errno::ENOENT));
        assert!(Region::<Duplex>::create(&name).is_ok());
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in ["", "a/b", "a\0b"] {
            assert_eq!(Region::<Duplex>::create(bad).err(), Some(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(Region::<Duplex>::open(&"x".repeat(201)).err(), Some(Errno::ENAMETOOLONG));
    }

    #[test]
    fn something_else_is_refused() {
        let name = name("else");
        let first = Region::<Duplex>::create(&name).unwrap();
        first.magic().store(7, Ordering::Release);
        assert_eq!(Region::<Duplex>::open(&name).err(), Some(Errno::EPROTO));
    }

    #[test]
    fn locks_tell_of_each_other() {
        let name = name("locks");
        let first = Region::<Duplex>::create(&name).unwrap();
        let second = Region::<Duplex>::open(&name).unwrap();
        let third = Region::<Duplex>::open(&name).unwrap();
        assert!(!first.held(Lock(2)));
        assert_eq!((second.lock(Lock(2)), third.lock(Lock(2))), (Ok(true), Ok(false)));
        assert!(first.held(Lock(2)) && !second.held(Lock(2)));
        second.unlock(Lock(2));
        assert!(!first.held(Lock(2)));
    }
}
