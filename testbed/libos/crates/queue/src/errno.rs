// SPDX-License-Identifier: MIT
//! Error numbers of Linux (errno(3); include/uapi/asm-generic/errno.h), which are what the C ABI returns.

use std::fmt;
use std::io;

/// A positive errno.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Errno {
            $(pub const $name: Errno = Errno($number);)*

            /// The name of the number, such as `EAGAIN`, where this crate knows it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENXIO = 6, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14,
    EBUSY = 16, EEXIST = 17, ENODEV = 19, EINVAL = 22, ENFILE = 23, EMFILE = 24, ENOSPC = 28, EPIPE = 32, ERANGE = 34,
    EDEADLK = 35, ENAMETOOLONG = 36, ENOSYS = 38, EPROTO = 71, EOVERFLOW = 75, ENOTSOCK = 88, EDESTADDRREQ = 89,
    EMSGSIZE = 90, ENOPROTOOPT = 92, EPROTONOSUPPORT = 93, ENOTSUP = 95, EAFNOSUPPORT = 97, EADDRINUSE = 98,
    EADDRNOTAVAIL = 99, ENETDOWN = 100, ENETUNREACH = 101, ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105,
    EISCONN = 106, ENOTCONN = 107, ETIMEDOUT = 110, ECONNREFUSED = 111, EHOSTDOWN = 112, EHOSTUNREACH = 113,
    EALREADY = 114, EINPROGRESS = 115, ECANCELED = 125,
}

impl Errno {
    /// Linux has one number for both names.
    pub const EOPNOTSUPP: Errno = Errno::ENOTSUP;
    pub const EWOULDBLOCK: Errno = Errno::EAGAIN;

    /// The errno of a number; zero and negative numbers, which are no errors, become `EIO`.
    pub fn new(number: i32) -> Errno {
        if number > 0 {
            Errno(number)
        } else {
            Errno::EIO
        }
    }

    /// The number, above zero.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        error.raw_os_error().map_or(Errno::EIO, Errno::new)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => out.write_str(name),
            None => write!(out, "errno {}", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_its_name_or_its_number() {
        assert_eq!(Errno::ECONNRESET.to_string(), "ECONNRESET");
        assert_eq!(Errno::new(4095).to_string(), "errno 4095");
        assert_eq!(Errno::new(0), Errno::EIO);
    }

    #[test]
    fn comes_from_the_system_s_errors() {
        assert_eq!(Errno::from(io::Error::from_raw_os_error(111)), Errno::ECONNREFUSED);
        assert_eq!(Errno::from(io::Error::other("no number")), Errno::EIO);
    }
}
