// SPDX-License-Identifier: MIT
//! What can go wrong in a request, in the words of the protocol (doc/internals.md, section 3).

use std::fmt;
use std::io;

/// Whose fault an error is; the names are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Usage,
    Os,
    Timeout,
    Capability,
    Internal,
}

impl Kind {
    /// The word that goes over the wire.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Os => "os",
            Kind::Timeout => "timeout",
            Kind::Capability => "capability",
            Kind::Internal => "internal",
        }
    }
}

/// One failed request: the kind, a sentence, and the errno where a system call failed.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub what: String,
    pub errno: Option<i32>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, what: what.into(), errno: None }
    }

    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    pub fn capability(what: impl Into<String>) -> Self {
        Self::new(Kind::Capability, what)
    }

    pub fn timeout(what: impl Into<String>) -> Self {
        Self::new(Kind::Timeout, what)
    }

    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }

    /// A failed system call, from what was being done and the error it gave.
    pub fn os(what: impl fmt::Display, cause: &io::Error) -> Self {
        Error { kind: Kind::Os, what: format!("{what}: {cause}"), errno: cause.raw_os_error() }
    }

    /// Say where an error happened, in front of what it says.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.what)
    }
}

/// Gives a failed system call the sentence that says what was being done.
pub trait Context<T> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|cause| Error::os(what(), &cause))
    }
}
