// SPDX-License-Identifier: MIT
//! A path that takes its time: closes go on in the background, and what polls it is who waits.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use queue::{Buffer, Config, Engine, Errno, IoPath, OptionName, Outcome, SocketKind, SocketOption, Token};

const NOW: Option<Duration> = Some(Duration::ZERO);
/// Longer than any wait here.
const LONG: Duration = Duration::from_secs(3600);
const ANYWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);

/// What a path was asked for, seen from outside.
#[derive(Default)]
struct Seen {
    polls: Cell<usize>,
    idles: Cell<usize>,
    closes: Cell<usize>,
    /// So many more polls of a close are pending.
    close_takes: Cell<usize>,
    open: Cell<usize>,
    pops: Cell<usize>,
    panics: Cell<bool>,
    /// So often it was asked for waiting bytes.
    glances: Cell<usize>,
    /// From this look on there are some.
    bytes_at: Cell<Option<usize>>,
}

impl Seen {
    /// Whether there are bytes by now.
    fn glance(&self) -> bool {
        self.glances.set(self.glances.get() + 1);
        self.bytes_at.get().is_some_and(|at| self.glances.get() >= at)
    }
}

thread_local! {
    static SEEN: Rc<Seen> = Rc::default();
}

/// `ALONE`: it moves by itself.
struct Slow<const ALONE: bool = false>(Rc<Seen>);

struct Queue(Rc<Seen>);

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

impl<const ALONE: bool> IoPath for Slow<ALONE> {
    type Queue = Queue;

    const SELF_DRIVEN: bool = ALONE;

    const GLANCES: u32 = 5;

    fn open(_: &Config) -> Result<Self, Errno> {
        Ok(Slow(SEEN.with(Rc::clone)))
    }
    fn socket(&mut self, _: SocketKind) -> Result<Queue, Errno> {
        self.0.open.set(self.0.open.get() + 1);
        Ok(Queue(Rc::clone(&self.0)))
    }
    fn bind(&mut self, _: &mut Queue, _: SocketAddrV4) -> Result<(), Errno> {
        Ok(())
    }
    fn listen(&mut self, _: &mut Queue, _: u32) -> Result<(), Errno> {
        Ok(())
    }
    fn connect(&mut self, _: &mut Queue, _: SocketAddrV4) -> Result<(), Errno> {
        Err(Errno::ENETUNREACH)
    }
    fn poll_connect(&mut self, _: &mut Queue) -> Poll<Result<(), Errno>> {
        Poll::Pending
    }
    fn poll_accept(&mut self, _: &mut Queue) -> Poll<Result<(Queue, SocketAddrV4), Errno>> {
        Poll::Pending
    }
    fn poll_push(
        &mut self,
        _: &mut Queue,
        bytes: &[u8],
        sent: &mut usize,
        _: Option<SocketAddrV4>,
    ) -> Poll<Result<(), Errno>> {
        *sent = bytes.len();
        Poll::Ready(Ok(()))
    }
    fn poll_pop(&mut self, _: &mut Queue, into: &mut Buffer) -> Poll<Result<Option<SocketAddrV4>, Errno>> {
        self.0.pops.set(self.0.pops.get() + 1);
        assert!(!self.0.panics.get(), "as the test wants it");
        if self.0.bytes_at.get().is_some_and(|at| self.0.glances.get() >= at) {
            assert_eq!(into.append(b"bytes"), 5);
            return Poll::Ready(Ok(None));
        }
        Poll::Pending
    }
    fn waiting(&self, _: &Queue) -> usize {
        if self.0.glance() {
            5
        } else {
            0
        }
    }
    fn has_input(&mut self) -> bool {
        self.0.glance()
    }
    fn poll_close(&mut self, _: &mut Queue) -> Poll<Result<(), Errno>> {
        self.0.closes.set(self.0.closes.get() + 1);
        match self.0.close_takes.get() {
            0 => Poll::Ready(Ok(())),
            more => {
                self.0.close_takes.set(more.saturating_sub(1));
                Poll::Pending
            }
        }
    }
    fn set_option(&mut self, _: &mut Queue, _: SocketOption) -> Result<(), Errno> {
        Ok(())
    }
    fn option(&mut self, _: &mut Queue, _: OptionName) -> Result<SocketOption, Errno> {
        Err(Errno::ENOPROTOOPT)
    }
    fn peer_name(&mut self, _: &mut Queue) -> Result<SocketAddrV4, Errno> {
        Ok(ANYWHERE)
    }
    fn poll_io(&mut self, _: Instant) -> bool {
        self.0.polls.set(self.0.polls.get() + 1);
        false
    }
    fn idle(&mut self, _: Instant, until: Option<Instant>) {
        self.0.idles.set(self.0.idles.get() + 1);
        if let Some(until) = until {
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(1)));
        }
    }
}

fn engine() -> (Engine<Slow, Vec<u8>>, i32, Rc<Seen>) {
    let mut engine = Engine::open(&Config { spin: Some(Duration::ZERO), ..Config::default() }).unwrap();
    let qd = engine.socket(SocketKind::Datagram).unwrap();
    engine.bind(qd, ANYWHERE).unwrap();
    (engine, qd, SEEN.with(Rc::clone))
}

#[test]
fn a_close_that_takes_time_goes_on_in_every_wait() {
    let (mut engine, qd, seen) = engine();
    let other = engine.socket(SocketKind::Datagram).unwrap();
    engine.bind(other, ANYWHERE).unwrap();
    seen.close_takes.set(2);
    engine.close(qd).unwrap();
    assert_eq!((engine.close(qd), seen.open.get()), (Err(Errno::EBADF), 2), "the number is free, the queue is not");
    let pop = engine.pop(other).unwrap();
    for (left, closes) in [(2, 2), (1, 3), (1, 3)] {
        assert_eq!(engine.wait(pop, NOW).unwrap_err(), Errno::ETIMEDOUT);
        assert_eq!((seen.open.get(), seen.closes.get()), (left, closes));
    }
}

#[test]
fn an_engine_that_ends_closes_what_is_open() {
    let (engine, _, seen) = engine();
    seen.close_takes.set(5);
    drop(engine);
    assert_eq!((seen.open.get(), seen.closes.get()), (0, 6));
}

#[test]
fn an_engine_that_ends_does_not_wait_for_ever() {
    let (engine, _, seen) = engine();
    seen.close_takes.set(usize::MAX);
    let begin = Instant::now();
    drop(engine);
    assert!((2..20).contains(&begin.elapsed().as_secs()));
    assert_eq!(seen.open.get(), 0);
}

#[test]
fn a_path_that_lives_by_being_polled_is_polled_though_all_is_done() {
    let (mut engine, qd, seen) = engine();
    for count in 1..4 {
        let push = engine.push(qd, vec![1], Some(ANYWHERE)).unwrap();
        assert!(matches!(engine.wait(push, NOW).unwrap().outcome, Outcome::Pushed));
        assert_eq!(seen.polls.get(), count);
    }
}

#[test]
fn a_wait_idles_when_nothing_moves_and_not_before_it_has_polled() {
    let (mut engine, qd, seen) = engine();
    let pop = engine.pop(qd).unwrap();
    assert_eq!(engine.wait(pop, NOW).unwrap_err(), Errno::ETIMEDOUT);
    assert_eq!((seen.polls.get(), seen.idles.get()), (1, 0));
    assert_eq!(engine.wait(pop, Some(Duration::from_millis(5))).unwrap_err(), Errno::ETIMEDOUT);
    assert!(seen.idles.get() >= 1 && seen.polls.get() <= seen.idles.get() + 2);
}

#[test]
fn a_queue_that_a_panic_went_through_is_polled_again() {
    let (mut engine, qd, seen) = engine();
    seen.panics.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| engine.pop(qd))).is_err());
    seen.panics.set(false);
    let pop = engine.pop(qd).unwrap();
    let before = seen.pops.get();
    assert_eq!(engine.wait(pop, NOW).unwrap_err(), Errno::ETIMEDOUT);
    assert!(seen.pops.get() > before);
}

#[test]
fn a_refusal_to_connect_is_the_result_and_the_socket_is_as_before() {
    let (mut engine, _, _) = engine();
    let stream = engine.socket(SocketKind::Stream).unwrap();
    let connect = engine.connect(stream, ANYWHERE).unwrap();
    let done = engine.wait(connect, NOW).unwrap();
    assert!(matches!(done.outcome, Outcome::Failed(Errno::ENETUNREACH)), "{done:?}");
    assert_eq!(engine.peer_name(stream), Err(Errno::ENOTCONN));
    assert_eq!(engine.bind(stream, ANYWHERE), Ok(()));
}

/// An engine with a pop that nothing came for yet.
fn popping<const ALONE: bool>(spin: Duration) -> (Engine<Slow<ALONE>, Vec<u8>>, Token, Rc<Seen>) {
    let mut engine: Engine<Slow<ALONE>, Vec<u8>> =
        Engine::open(&Config { spin: Some(spin), ..Config::default() }).unwrap();
    let qd = engine.socket(SocketKind::Datagram).unwrap();
    engine.bind(qd, ANYWHERE).unwrap();
    let token = engine.pop(qd).unwrap();
    (engine, token, SEEN.with(Rc::clone))
}

fn looks<const ALONE: bool>(spin: Duration) -> (usize, usize, usize) {
    let (mut engine, token, seen) = popping::<ALONE>(spin);
    let before = (seen.polls.get(), seen.pops.get(), seen.glances.get());
    assert_eq!(engine.wait(token, NOW).unwrap_err(), Errno::ETIMEDOUT);
    (seen.polls.get() - before.0, seen.pops.get() - before.1, seen.glances.get() - before.2)
}

#[test]
fn a_wait_that_may_spin_looks_several_times_between_two_polls() {
    let glances = Slow::<false>::GLANCES as usize;
    // A poll of a pop asks once, too: the buffer should fit.
    assert_eq!(looks::<true>(LONG), (1, 1, glances + 1));
    assert_eq!(looks::<false>(LONG), (1, 1, glances + 1));
    assert_eq!(looks::<false>(Duration::ZERO), (1, 1, 1));
}

/// Polls of the path until bytes that come between two of them have ended a pop.
fn polls_for_bytes<const ALONE: bool>() -> usize {
    let (mut engine, token, seen) = popping::<ALONE>(LONG);
    let polls = seen.polls.get();
    // The next look is that of the poll; the third one after it is a glance.
    seen.bytes_at.set(Some(seen.glances.get() + 4));
    let done = engine.wait(token, None).unwrap();
    assert!(matches!(&done.outcome, Outcome::Popped(buffer, None) if buffer.filled() == b"bytes"), "{done:?}");
    seen.polls.get() - polls
}

#[test]
fn what_comes_between_two_polls_is_polled_for_where_the_path_does_not_move_by_itself() {
    assert_eq!(polls_for_bytes::<false>(), 2, "before the glances, and for what the third one saw");
}

#[test]
fn bytes_that_come_between_two_polls_end_a_pop() {
    assert_eq!(polls_for_bytes::<true>(), 1, "the path was polled before, and not again");
}
