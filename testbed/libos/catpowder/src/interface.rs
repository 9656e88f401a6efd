// SPDX-License-Identifier: MIT
//! A raw socket and the interface that it is bound to (packet(7), netdevice(7)).

use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use inetstack::Mac;
use queue::Errno;

/// What an interface is.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    pub index: c_int,
    pub mac: Mac,
    /// The longest IP packet, bytes.
    pub mtu: usize,
}

/// All Ethernet protocols, in network byte order.
const ALL: u16 = (libc::ETH_P_ALL as u16).to_be();

fn check(result: c_int) -> Result<c_int, Errno> {
    if result < 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(result)
}

/// Opens a raw socket that hears nothing yet.
pub fn raw_socket() -> Result<OwnedFd, Errno> {
    let flags = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, flags, 0) })?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option of a raw socket.
pub fn set_option<T>(socket: RawFd, level: c_int, name: c_int, value: &T) -> Result<(), Errno> {
    // The options are structures of a few bytes.
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `value`, which outlives the call.
    check(unsafe { libc::setsockopt(socket, level, name, std::ptr::from_ref(value).cast(), length) })?;
    Ok(())
}

impl Interface {
    /// Looks an interface up.
    ///
    /// # Errors
    /// `ENODEV`: there is none of this name; `EINVAL`: the name cannot be one.
    pub fn find(socket: &OwnedFd, name: &str) -> Result<Self, Errno> {
        // SAFETY: all zero is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        // One byte stays zero, which ends the name.
        if name.is_empty() || name.len() >= request.ifr_name.len() {
            return Err(Errno::EINVAL);
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        let mut ask = |what| {
            // SAFETY: these requests read and write one `ifreq`.
            check(unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) })?;
            Ok::<_, Errno>(request.ifr_ifru)
        };
        // SAFETY: SIOCGIFINDEX fills this member.
        let index = unsafe { ask(libc::SIOCGIFINDEX)?.ifru_ifindex };
        // SAFETY: SIOCGIFMTU fills this member.
        let mtu = unsafe { ask(libc::SIOCGIFMTU)?.ifru_mtu };
        // SAFETY: SIOCGIFHWADDR fills this member.
        let address = unsafe { ask(libc::SIOCGIFHWADDR)?.ifru_hwaddr };
        if address.sa_family != libc::ARPHRD_ETHER {
            log::error!("{name} is no Ethernet interface (ARPHRD {})", address.sa_family);
            return Err(Errno::EINVAL);
        }
        let mac = std::array::from_fn(|at| address.sa_data[at].cast_unsigned());
        Ok(Self { index, mac, mtu: usize::try_from(mtu).map_err(|_| Errno::EINVAL)? })
    }

    /// Lets the socket hear the interface: what comes in, not what goes out; with `all` also what is for other addresses.
    pub fn bind(&self, socket: &OwnedFd, all: bool) -> Result<(), Errno> {
        let fd = socket.as_raw_fd();
        set_option(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)?;
        if all {
            // SAFETY: all zero is a valid `packet_mreq`.
            let mut member: libc::packet_mreq = unsafe { mem::zeroed() };
            member.mr_ifindex = self.index;
            member.mr_type = libc::PACKET_MR_PROMISC as libc::c_ushort;
            set_option(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &member)?;
        }
        // SAFETY: all zero is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::sa_family_t;
        address.sll_protocol = ALL;
        address.sll_ifindex = self.index;
        let length = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: the pointer and the length are those of `address`, which outlives the call.
        check(unsafe { libc::bind(fd, (&raw const address).cast(), length) })?;
        Ok(())
    }
}

/// Blocks until a frame waits, or with `room` until one may be sent, or `wake` can be read, at most `limit` long.
pub fn wait(socket: RawFd, room: bool, limit: Option<Duration>, wake: Option<BorrowedFd<'_>>) {
    let events = libc::POLLIN | if room { libc::POLLOUT } else { 0 };
    // A negative descriptor is none.
    let wake = wake.map_or(-1, |wake| wake.as_raw_fd());
    let mut wanted =
        [(socket, events), (wake, libc::POLLIN)].map(|(fd, events)| libc::pollfd { fd, events, revents: 0 });
    let time = limit.map(|limit| libc::timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: two `pollfd`, a `timespec` or null, no signal mask; all outlive the call.
    let count = unsafe { libc::ppoll(wanted.as_mut_ptr(), 2, time, std::ptr::null()) };
    if count > 0 && wanted[0].revents & libc::POLLERR != 0 {
        log::info!("raw socket: {}", take_error(socket));
    }
}

/// Takes the pending error of a socket, such as ENETDOWN when its interface went down: else poll says so for ever.
fn take_error(socket: RawFd) -> Errno {
    let mut error: c_int = 0;
    let mut length = mem::size_of_val(&error) as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `error`.
    let result =
        unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut length) };
    match check(result) {
        Ok(_) => Errno::new(error),
        Err(errno) => errno,
    }
}
