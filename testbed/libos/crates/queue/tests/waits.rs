// SPDX-License-Identifier: MIT
//! Waits: what is done never times out, what is not does, and nobody is always first.

use std::time::{Duration, Instant};

use null::{Null, ROOM_BYTES};
use queue::{Config, Engine, Errno, Outcome, Token};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn pipe() -> (Engine<Null, Vec<u8>>, i32, i32) {
    let mut engine = Engine::open(&Config::default()).unwrap();
    let left = engine.create_pipe("p").unwrap();
    let right = engine.open_pipe("p").unwrap();
    (engine, left, right)
}

#[test]
fn what_is_done_never_times_out() {
    let (mut engine, left, _) = pipe();
    let token = engine.push(left, vec![1], None).unwrap();
    assert!(matches!(engine.wait(token, NOW).unwrap().outcome, Outcome::Pushed));
    assert_eq!(engine.wait(token, NOW).unwrap_err(), Errno::EINVAL);
}

#[test]
fn a_time_out_takes_its_time_and_leaves_the_token() {
    let (mut engine, left, right) = pipe();
    let token = engine.pop(right).unwrap();
    let begin = Instant::now();
    assert_eq!(engine.wait(token, Some(Duration::from_millis(20))).unwrap_err(), Errno::ETIMEDOUT);
    assert!(begin.elapsed() >= Duration::from_millis(20));
    engine.push(left, vec![7], None).unwrap();
    let Outcome::Popped(buffer, None) = engine.wait(token, None).unwrap().outcome else { panic!("no pop") };
    assert_eq!(buffer.filled(), [7]);
}

#[test]
fn a_time_out_beyond_the_clock_is_for_ever() {
    let (mut engine, left, _) = pipe();
    let token = engine.push(left, vec![1], None).unwrap();
    assert!(engine.wait(token, Some(Duration::MAX)).is_ok());
}

#[test]
fn of_several_that_are_done_the_first_one_is_given() {
    let (mut engine, left, right) = pipe();
    let pop = engine.pop(right).unwrap();
    let first = engine.push(left, vec![1], None).unwrap();
    let second = engine.push(left, vec![2], None).unwrap();
    // The pop, started first, was done last: when the queue was polled.
    assert_eq!(engine.wait_any(&[pop], NOW).unwrap().0, 0);
    let again = engine.pop(right).unwrap();
    assert_eq!(engine.wait_any(&[again, second, first], NOW).unwrap().0, 2);
    assert_eq!(engine.wait_any(&[again, second], NOW).unwrap().0, 1);
    assert_eq!(engine.wait_any(&[], NOW).unwrap_err(), Errno::EINVAL);
    assert_eq!(engine.wait_any(&[first], NOW).unwrap_err(), Errno::EINVAL);
}

#[test]
fn the_next_results_come_in_their_order_and_no_more_than_wanted() {
    let (mut engine, left, _) = pipe();
    let tokens: Vec<Token> = (0..5).map(|byte| engine.push(left, vec![byte], None).unwrap()).collect();
    let mut seen = Vec::new();
    assert_eq!(engine.wait_next_n(3, NOW, |done| seen.push(done.token)), Ok(3));
    assert_eq!(engine.wait_next_n(3, NOW, |done| seen.push(done.token)), Ok(2));
    assert_eq!(seen, tokens);
    assert_eq!(engine.wait_next_n(1, NOW, |_| ()), Err(Errno::ETIMEDOUT));
    assert_eq!(engine.wait_next_n(1, None, |_| ()), Err(Errno::EINVAL), "there is nothing to wait for");
    assert_eq!(engine.wait_next_n(0, NOW, |_| ()), Err(Errno::EINVAL));
}

#[test]
fn a_close_cancels_what_is_pending_and_nothing_else() {
    let (mut engine, left, right) = pipe();
    let done = engine.push(left, vec![1], None).unwrap();
    let long = engine.push(left, vec![2; 2 * ROOM_BYTES], None).unwrap();
    let pop = engine.pop(left).unwrap();
    engine.close(left).unwrap();
    assert!(matches!(engine.wait(done, NOW).unwrap().outcome, Outcome::Pushed));
    for token in [long, pop] {
        assert!(matches!(engine.wait(token, NOW).unwrap().outcome, Outcome::Failed(Errno::ECANCELED)));
    }
    assert_eq!(engine.close(left), Err(Errno::EBADF));
    assert!(engine.pop(right).is_ok());
}

#[test]
fn a_push_of_nothing_is_refused() {
    let (mut engine, left, _) = pipe();
    assert_eq!(engine.push(left, vec![], None), Err(Errno::EINVAL));
    assert_eq!(engine.push(99, vec![1], None), Err(Errno::EBADF));
}

#[test]
fn a_busy_queue_leaves_others_their_turn() {
    let mut engine: Engine<Null, Vec<u8>> = Engine::open(&Config::default()).unwrap();
    let mut pops = Vec::new();
    for name in ["busy", "quiet"] {
        let left = engine.create_pipe(name).unwrap();
        let right = engine.open_pipe(name).unwrap();
        let count = if name == "busy" { 100 } else { 1 };
        pops.push((0..count).map(|_| engine.pop(right).unwrap()).collect::<Vec<_>>());
        // One long message in many pieces: every pop of the busy pipe can be done at once, were it only let.
        engine.push(left, vec![0; 1], None).unwrap();
        engine.close(left).unwrap();
    }
    let mut order = Vec::new();
    while engine.wait_next_n(1000, NOW, |done| order.push(done.token)).is_ok() {}
    let quiet = order.iter().position(|&token| token == pops[1][0]).expect("the quiet queue's pop");
    assert!(quiet <= 2 + 8, "it had to wait for {quiet} others");
}
