// SPDX-License-Identifier: MIT
//! Pipes between threads and between processes.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use catmem::Catmem;
use queue::{Config, Engine, Errno, Outcome, SocketKind};

type Libos = Engine<Catmem, Vec<u8>>;

fn libos() -> Libos {
    Engine::open(&Config::default()).unwrap()
}

fn name(what: &str) -> String {
    format!("pipes-{}-{what}", std::process::id())
}

fn push(libos: &mut Libos, qd: i32, bytes: &[u8]) -> Outcome {
    let token = libos.push(qd, bytes.to_vec(), None).unwrap();
    libos.wait(token, Some(Duration::from_secs(30))).unwrap().outcome
}

fn pop(libos: &mut Libos, qd: i32) -> Result<Vec<u8>, Errno> {
    let token = libos.pop(qd).unwrap();
    match libos.wait(token, Some(Duration::from_secs(30))).unwrap().outcome {
        Outcome::Popped(bytes, None) => Ok(bytes.filled().to_vec()),
        Outcome::Failed(errno) => Err(errno),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_engines_of_one_process_play_ping_pong() {
    let name = name("ping-pong");
    let mut one = libos();
    let first = one.create_pipe(&name).unwrap();
    let other = std::thread::spawn(move || {
        let mut two = libos();
        let second = two.open_pipe(&name).unwrap();
        loop {
            let got = pop(&mut two, second).unwrap();
            if got.is_empty() {
                return;
            }
            assert!(matches!(push(&mut two, second, &got), Outcome::Pushed));
        }
    });
    for round in 0..128u8 {
        assert!(matches!(push(&mut one, first, &[round; 64]), Outcome::Pushed));
        assert_eq!(pop(&mut one, first), Ok(vec![round; 64]));
    }
    one.close(first).unwrap();
    other.join().unwrap();
}

#[test]
fn more_than_a_ring_goes_through_whole() {
    let name = name("large");
    let (mut one, mut two) = (libos(), libos());
    let (first, second) = (one.create_pipe(&name).unwrap(), two.open_pipe(&name).unwrap());
    let bytes: Vec<u8> = (0..1_000_000u32).map(|number| (number % 253) as u8).collect();
    let token = one.push(first, bytes.clone(), None).unwrap();
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        assert_eq!(one.wait(token, Some(Duration::ZERO)).err(), Some(Errno::ETIMEDOUT));
        got.extend(pop(&mut two, second).unwrap());
        if got.len() > bytes.len() - (256 << 10) {
            break;
        }
    }
    assert!(matches!(one.wait(token, None).unwrap().outcome, Outcome::Pushed));
    while got.len() < bytes.len() {
        got.extend(pop(&mut two, second).unwrap());
    }
    assert!(got == bytes);
}

#[test]
fn names_are_checked() {
    let name = name("names");
    let (mut one, mut two) = (libos(), libos());
    for bad in ["", "a/b"] {
        assert_eq!((one.create_pipe(bad), one.open_pipe(bad)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
    }
    assert_eq!(two.open_pipe(&name), Err(Errno::ENOENT));
    let first = one.create_pipe(&name).unwrap();
    assert_eq!((one.create_pipe(&name), two.create_pipe(&name)), (Err(Errno::EEXIST), Err(Errno::EEXIST)));
    one.close(first).unwrap();
    assert_eq!(one.close(first), Err(Errno::EBADF));
    assert!(two.create_pipe(&name).is_ok());
}

#[test]
fn a_close_cancels_what_is_pending() {
    let name = name("cancel");
    let mut one = libos();
    let first = one.create_pipe(&name).unwrap();
    let tokens = [one.pop(first).unwrap(), one.push(first, vec![0; 1 << 20], None).unwrap()];
    one.close(first).unwrap();
    for token in tokens {
        assert!(matches!(one.wait(token, None).unwrap().outcome, Outcome::Failed(Errno::ECANCELED)));
    }
}

#[test]
fn there_are_no_sockets() {
    assert_eq!(libos().socket(SocketKind::Stream), Err(Errno::ENOTSUP));
}

/// The other process of the next test; by itself it does nothing.
#[test]
fn peer() {
    let Ok(name) = std::env::var("CATMEM_PEER") else { return };
    let mut libos = libos();
    let end = libos.open_pipe(&name).unwrap();
    assert!(matches!(push(&mut libos, end, b"last words"), Outcome::Pushed));
    let _ = pop(&mut libos, end);
    unreachable!("killed before anything comes");
}

#[test]
fn a_peer_that_is_killed_resets_the_pipe() {
    let name = name("killed");
    let mut one = libos();
    let first = one.create_pipe(&name).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "peer"])
        .env("CATMEM_PEER", &name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(pop(&mut one, first), Ok(b"last words".to_vec()));
    let token = one.pop(first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    let outcome = one.wait(token, Some(Duration::from_secs(30))).unwrap().outcome;
    assert!(matches!(outcome, Outcome::Failed(Errno::ECONNRESET)), "{outcome:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(matches!(push(&mut one, first, b"x"), Outcome::Failed(Errno::ECONNRESET)));
}

/// The other process of the next test: pushes for ever; by itself it does nothing.
#[test]
fn writer() {
    let Ok(name) = std::env::var("CATMEM_WRITER") else { return };
    let mut libos = libos();
    let end = libos.open_pipe(&name).unwrap();
    let bytes: Vec<u8> = (0..251 * 400u32).map(|number| (number % 251) as u8).collect();
    while matches!(push(&mut libos, end, &bytes), Outcome::Pushed) {}
}

#[test]
fn a_peer_that_is_killed_in_the_middle_of_a_write_leaves_only_what_it_had_written() {
    for round in 0..8 {
        let name = name(&format!("writer-{round}"));
        let mut one = libos();
        let first = one.create_pipe(&name).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer"])
            .env("CATMEM_WRITER", &name)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut count = 0_usize;
        let mut check = |bytes: Vec<u8>| {
            assert!(!bytes.is_empty(), "an end without a close");
            for byte in bytes {
                assert_eq!(usize::from(byte), count % 251, "at {count}");
                count += 1;
            }
            count
        };
        while check(pop(&mut one, first).unwrap()) < 30_000 * (round + 1) {}
        child.kill().unwrap(); // it is most likely copying into the ring
        child.wait().unwrap();
        let end = loop {
            match pop(&mut one, first) {
                Ok(bytes) => check(bytes),
                Err(errno) => break errno,
            };
        };
        assert_eq!(end, Errno::ECONNRESET);
    }
}
