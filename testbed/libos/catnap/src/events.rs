// SPDX-License-Identifier: MIT
//! Which sockets may be read and written: what epoll(7), edge-triggered, has told so far.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use queue::Errno;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{self, PollFd, PollFlags, Timespec};

/// So many events are taken at a time; more come with the next call.
const BATCH: usize = 64;
/// What epoll_wait(2) counts in.
const TICK: Duration = Duration::from_millis(1);
/// Its count is an `int`; this is well below.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is known of one socket. At first all may be tried; only a refusal of the kernel says what is to be waited for.
#[derive(Clone, Copy, Debug)]
pub struct Readiness {
    pub read: bool,
    pub write: bool,
    /// The peer sends no more, or the connection is gone: there is an end to be read behind the data.
    pub ended: bool,
}

#[derive(Default)]
struct Places {
    known: Vec<Readiness>,
    free: Vec<usize>,
}

/// An epoll instance with the readiness of its sockets.
pub struct Events {
    epoll: Rc<OwnedFd>,
    places: Rc<RefCell<Places>>,
    watched: Rc<Cell<usize>>,
    /// [`Events::wait`] has brought news that [`Events::poll`] did not tell yet.
    fresh: bool,
    /// Whether [`Events::poll`] asks the kernel. Waits that do not spin leave that to [`Events::wait`].
    polls: bool,
}

impl Events {
    pub fn open(polls: bool) -> Result<Events, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(errno)?;
        Ok(Events { epoll: Rc::new(epoll), places: Rc::default(), watched: Rc::default(), fresh: false, polls })
    }

    /// A place for a new socket.
    pub fn place(&self) -> Place {
        let places = &mut *self.places.borrow_mut();
        let all = Readiness { read: true, write: true, ended: false };
        let index = places.free.pop().unwrap_or_else(|| {
            places.known.push(all);
            places.known.len() - 1
        });
        places.known[index] = all;
        Place {
            epoll: Rc::clone(&self.epoll),
            places: Rc::clone(&self.places),
            watched: Rc::clone(&self.watched),
            index,
            registered: false,
        }
    }

    /// Take news without waiting; whether there were any.
    pub fn poll(&mut self) -> bool {
        if self.fresh {
            self.fresh = false;
            return true;
        }
        self.polls && self.watched.get() > 0 && self.take(Some(Duration::ZERO))
    }

    /// Wait for news; an early return is harmless. epoll_wait(2) counts in milliseconds, so the last one is left to ppoll(2).
    pub fn wait(&mut self, length: Option<Duration>) {
        match length {
            Some(Duration::ZERO) => self.fresh |= self.take(length),
            Some(length) if length < TICK => {
                let mut epoll = [PollFd::new(&*self.epoll, PollFlags::IN)];
                let length = Timespec { tv_sec: 0, tv_nsec: length.subsec_nanos().into() };
                // What there is, is taken by the next poll; a signal (EINTR) is an early return.
                let _ = event::poll(&mut epoll, Some(&length));
            }
            Some(length) => {
                let rest = Duration::from_nanos(u64::from(length.subsec_nanos() % TICK.subsec_nanos()));
                self.fresh |= self.take(Some((length - rest).min(LONGEST)));
            }
            None => self.fresh |= self.take(None),
        }
    }

    fn take(&self, length: Option<Duration>) -> bool {
        let mut room = [MaybeUninit::uninit(); BATCH];
        let length = length.and_then(|length| Timespec::try_from(length).ok());
        // EINTR is no news, and the caller comes again; epoll_wait(2) knows no other error that could happen here.
        let Ok((events, _)) = epoll::wait(&*self.epoll, &mut room, length.as_ref()) else { return false };
        let known = &mut self.places.borrow_mut().known;
        for event in &*events {
            let place = &mut known[event.data.u64() as usize];
            let (gone, flags) = (EventFlags::HUP | EventFlags::ERR, event.flags);
            place.read |= flags.intersects(EventFlags::IN | EventFlags::RDHUP | gone);
            place.write |= flags.intersects(EventFlags::OUT | gone);
            place.ended |= flags.intersects(EventFlags::RDHUP | gone);
        }
        !events.is_empty()
    }
}

/// A socket's place among the events; its `Drop` gives the place to another.
pub struct Place {
    epoll: Rc<OwnedFd>,
    places: Rc<RefCell<Places>>,
    watched: Rc<Cell<usize>>,
    index: usize,
    registered: bool,
}

impl Place {
    pub fn readiness(&self) -> Readiness {
        self.places.borrow().known[self.index]
    }

    /// The kernel refused: wait for its word. With the first refusal the socket comes under watch, and what has changed in
    /// between is told at once (epoll_ctl(2)).
    pub fn refused(&mut self, socket: impl AsFd, change: impl FnOnce(&mut Readiness)) -> Result<(), Errno> {
        change(&mut self.places.borrow_mut().known[self.index]);
        if !self.registered {
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&*self.epoll, socket, EventData::new_u64(self.index as u64), flags).map_err(errno)?;
            self.registered = true;
            self.watched.set(self.watched.get() + 1);
        }
        Ok(())
    }

    /// A stream gave less than there was room for: it is drained, unless its end is behind the data (epoll(7)).
    pub fn drained(&mut self) {
        let place = &mut self.places.borrow_mut().known[self.index];
        place.read = !self.registered || place.ended;
    }
}

impl Drop for Place {
    /// Closing the descriptor takes it out of the epoll instance.
    fn drop(&mut self) {
        self.places.borrow_mut().free.push(self.index);
        if self.registered {
            self.watched.set(self.watched.get() - 1);
        }
    }
}

pub fn errno(error: rustix::io::Errno) -> Errno {
    Errno::new(error.raw_os_error())
}
