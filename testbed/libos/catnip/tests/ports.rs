// SPDX-License-Identifier: MIT
//! Which words DPDK is started with, and what becomes of a port: each in a process of its own, since DPDK starts once in a process.
#![cfg(dpdk)]

use std::ffi::CString;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use catnip::Dpdk;
use inetstack::{FrameDevice, FrameReceiver, FrameSender, OpenDevice};
use queue::{Config, Errno};

/// What every start here needs: no huge pages, no cards, little memory.
const SMALL: [&str; 7] = ["--lcores", "0@0", "--no-telemetry", "--no-huge", "--no-pci", "-m", "64"];
const NOTHING: &str = "--vdev=net_null0,no-rx=1";
const WIRE: &str = "ip link add veth0 type veth peer name veth1 && ip link set veth0 up && ip link set veth1 up";

/// An EtherType that nobody has (IEEE 802, "local experimental").
const OURS: [u8; 2] = [0x88, 0xb5];

fn started_with(more: &[&str]) -> Config {
    let words = SMALL.iter().chain(more).map(ToString::to_string).collect();
    Config { dpdk_eal: words, ..Config::default() }
}

/// Runs another test of this file in a process of its own, behind `wrapper`; gives what it said.
fn in_a_process(test: &str, wrapper: &[&str]) -> String {
    let exe = std::env::current_exe().unwrap();
    let mut words: Vec<&str> = wrapper.to_vec();
    words.extend([exe.to_str().unwrap(), "--exact", test, "--nocapture"]);
    let done = Command::new(words[0]).args(&words[1..]).env("INSIDE", test).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{test}: {said}");
    assert!(said.contains("1 passed"), "{test}: {said}");
    said
}

fn is_inside(test: &str) -> bool {
    std::env::var("INSIDE").is_ok_and(|inside| inside == test)
}

#[test]
fn inside_other_words() {
    if !is_inside("inside_other_words") {
        return;
    }
    // No interface is configured: this port can only come from the words.
    let config = started_with(&[NOTHING, "--log-level=lib.eal:debug"]);
    let device = Dpdk::open(&config).unwrap();
    assert_eq!(device.mtu(), 1500);
}

#[test]
fn configured_words_reach_dpdk() {
    let said = in_a_process("inside_other_words", &[]);
    assert!(said.contains("EAL: lib.eal log level changed from info to debug"), "{said}");
    let said = in_a_process("inside_one_port", &[]);
    assert!(!said.contains("log level changed"), "{said}");
}

#[test]
fn inside_ring() {
    if !is_inside("inside_ring") {
        return;
    }
    let mut device = Dpdk::open(&started_with(&["--vdev=net_ring0"])).unwrap();
    let (receiver, sender) = device.split();
    let mut send = |byte| {
        assert!(sender.ready());
        sender.send(60, |frame| {
            frame.fill(byte);
            true
        });
        sender.flush();
    };
    assert!(receiver.receive().is_none() && !receiver.is_waiting());
    send(7);
    assert_eq!(receiver.receive(), Some(&[7; 60][..]), "a port that gives back what it was given");
    send(8);
    assert!(receiver.receive().is_none(), "the burst was not full: all there was");
    assert!(receiver.is_waiting() && receiver.is_waiting());
    assert_eq!(receiver.receive(), Some(&[8; 60][..]), "what was found waiting is not lost");
    for byte in 0..40 {
        send(byte);
    }
    let all: Vec<u8> = std::iter::from_fn(|| receiver.receive().map(|frame| frame[0])).collect();
    assert_eq!(all, [], "of the burst before");
    let all: Vec<u8> = std::iter::from_fn(|| receiver.receive().map(|frame| frame[0])).collect();
    assert_eq!(all, (0..40).collect::<Vec<u8>>(), "more than a burst, at once");
    // Naps grow as long as nothing comes, and are short again when something did.
    for _ in 0..8 {
        device.wait(None, None);
    }
    let naps = (0..100).map(|_| {
        let (receiver, sender) = device.split();
        sender.send(60, |_| true);
        sender.flush();
        assert!(receiver.receive().is_none() || receiver.receive().is_none());
        let begin = Instant::now();
        device.wait(None, None);
        begin.elapsed()
    });
    assert!(naps.min().unwrap() < Duration::from_millis(1));
}

#[test]
fn another_port_of_dpdk_carries_frames() {
    in_a_process("inside_ring", &[]);
}

#[test]
fn inside_one_port() {
    if !is_inside("inside_one_port") {
        return;
    }
    let config = started_with(&[NOTHING]);
    let first = Dpdk::open(&config).unwrap();
    assert_eq!(Dpdk::open(&config).err(), Some(Errno::EBUSY));
    drop(first);
    assert!(Dpdk::open(&config).is_ok(), "it is free again");
}

#[test]
fn a_process_has_one_port_at_a_time() {
    in_a_process("inside_one_port", &[]);
}

#[test]
fn inside_no_port() {
    if !is_inside("inside_no_port") {
        return;
    }
    assert_eq!(Dpdk::open(&started_with(&[])).err(), Some(Errno::ENODEV));
}

#[test]
fn without_a_port_there_is_no_device() {
    in_a_process("inside_no_port", &[]);
}

#[test]
fn inside_bad_words() {
    if !is_inside("inside_bad_words") {
        return;
    }
    assert_eq!(Dpdk::open(&Config::default()).err(), Some(Errno::EINVAL), "neither words nor interface");
    let refused = Dpdk::open(&started_with(&["--no-such-word"])).err();
    assert!(refused.is_some_and(|errno| errno != Errno::ENODEV), "{refused:?}");
    // What DPDK said once it says again: it cannot be started twice.
    assert_eq!(Dpdk::open(&started_with(&[NOTHING])).err(), refused);
}

#[test]
fn words_that_dpdk_refuses_are_an_error() {
    in_a_process("inside_bad_words", &[]);
}

fn cpus() -> Vec<usize> {
    // SAFETY: all zero is a valid set; its size is told, and 0 is this thread.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set), 0);
        set
    };
    // SAFETY: these are numbers of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

#[test]
fn inside_cpus() {
    if !is_inside("inside_cpus") {
        return;
    }
    let before = cpus();
    let _device = Dpdk::open(&started_with(&[NOTHING])).unwrap();
    assert_eq!(cpus(), before);
}

#[test]
fn the_thread_gets_its_cpus_back() {
    in_a_process("inside_cpus", &[]);
}

/// The `access` that DPDK calls in place of libc's says what libc's does.
#[test]
fn what_is_there_is_found() {
    let nodes = ["", "/node0", "/node0/cpu0", "/node31", "/node31/cpu0", "/nodes"]
        .map(|end| format!("/sys/devices/system/node{end}"));
    let others = [
        "/sys/devices/system/cpu",
        "/sys/devices/system/cpu/cpu0",
        "/sys/devices/system/cpu/cpu127",
        "/proc/self/status",
        "/no/such",
        "",
    ]
    .map(String::from);
    for path in nodes.iter().chain(&others) {
        let name = CString::new(path.as_str()).unwrap();
        // SAFETY: a C string.
        let found = unsafe { libc::access(name.as_ptr(), libc::F_OK) };
        let error = std::io::Error::last_os_error();
        assert_eq!(found == 0, Path::new(path).exists(), "{path}");
        assert!(found == 0 || (found == -1 && error.raw_os_error() == Some(libc::ENOENT)), "{path}: {error}");
    }
}

/// An option of a descriptor; nothing where it has none of this name.
fn option(fd: RawFd, level: i32, name: i32) -> Option<i32> {
    let (mut value, mut length) = (0_i32, 4);
    // SAFETY: the pointers are those of the variables; whatever `fd` is, the kernel says so.
    let result = unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut length) };
    (result == 0).then_some(value)
}

/// A port on one end of a wire.
fn on_veth() -> Dpdk {
    Dpdk::open(&Config { interface: Some("veth0".into()), ..Config::default() }).unwrap()
}

/// The same, and its raw socket.
fn wired() -> (Dpdk, RawFd) {
    let device = on_veth();
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    let fds = fds.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let raw: Vec<RawFd> =
        fds.filter(|&fd| option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN) == Some(libc::AF_PACKET)).collect();
    assert_eq!(raw.len(), 1);
    (device, raw[0])
}

/// Runs another test of this file where there is a wire; not where this machine lets nobody make one.
fn on_a_wire(test: &str) {
    match Command::new("unshare").args(["-rn", "sh", "-c", WIRE]).output() {
        Ok(done) if done.status.success() => {
            let script = format!("{WIRE} && exec \"$0\" \"$@\"");
            in_a_process(test, &["unshare", "-rn", "sh", "-c", &script]);
        }
        other => eprintln!("not run: no namespace with a veth: {other:?}"),
    }
}

#[test]
fn inside_raw_socket() {
    if !is_inside("inside_raw_socket") {
        return;
    }
    let (device, raw) = wired();
    assert_eq!(device.mtu(), 1500);
    assert_eq!(option(raw, libc::SOL_PACKET, libc::PACKET_FANOUT), Some(0), "it is in no group");
}

#[test]
fn an_interface_of_the_kernel_is_a_port_of_its_own() {
    on_a_wire("inside_raw_socket");
}

/// Frames with these numbers, broadcast with an EtherType that nobody has, each of another length.
fn send(device: &mut Dpdk, numbers: impl IntoIterator<Item = u16>) {
    let (_, sender) = device.split();
    for number in numbers {
        assert!(sender.ready());
        sender.send(60 + usize::from(number), |frame| {
            frame.fill(0xff);
            frame[12..14].copy_from_slice(&OURS);
            frame[14..16].copy_from_slice(&number.to_be_bytes());
            true
        });
    }
    sender.flush();
}

/// The numbers of such frames, as they come out of a socket: so many, and what else is there then; all other frames are passed over.
fn received(socket: &UnixDatagram, count: usize) -> Vec<u16> {
    let mut frame = [0; 2048];
    let mut numbers = Vec::new();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    loop {
        if numbers.len() == count {
            socket.set_nonblocking(true).unwrap();
        }
        let Ok(length) = socket.recv(&mut frame) else { return numbers };
        let number = u16::from_be_bytes([frame[14], frame[15]]);
        if frame[12..14] == OURS {
            assert_eq!(length, 60 + usize::from(number));
            numbers.push(number);
        }
    }
}

/// Sends a frame of ours from the far end.
fn answer() {
    let (kind, all) = (libc::SOCK_RAW, (libc::ETH_P_ALL as u16).to_be());
    // SAFETY: a C string; a new descriptor; a `sockaddr_ll`, for which all zero is valid, with its own length; and the bytes of `frame`.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, kind, 0);
        let mut at: libc::sockaddr_ll = mem::zeroed();
        at.sll_family = libc::AF_PACKET as u16;
        at.sll_protocol = all;
        at.sll_ifindex = libc::if_nametoindex(c"veth1".as_ptr()).cast_signed();
        let frame = [&[0xff; 12][..], &OURS, &[0; 46]].concat();
        let length = mem::size_of_val(&at) as u32;
        let sent = libc::sendto(fd, frame.as_ptr().cast(), frame.len(), 0, (&raw const at).cast(), length);
        assert_eq!(sent, 60);
        assert_eq!(libc::close(fd), 0);
    }
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}

#[test]
fn inside_sending() {
    if !is_inside("inside_sending") {
        return;
    }
    let (mut device, raw) = wired();
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: no pointers; a new descriptor that nobody else has. What is asked of it below is the same for all kinds of sockets.
    let there = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, all.into());
        assert!(fd >= 0);
        UnixDatagram::from_raw_fd(fd)
    };
    // More than a burst at once, and several times round the ring of 512.
    for _ in 0..40 {
        send(&mut device, 0..40);
        assert_eq!(received(&there, 40), (0..40).collect::<Vec<u16>>());
    }
    // One that is longer than the MTU allows is lost, and no other.
    send(&mut device, [1, 1490, 2]);
    assert_eq!(received(&there, 2), [1, 2]);
    // What goes out while there is no carrier, or the interface is down, is lost, and nothing waits for it.
    for (interface, number) in [("veth1", 1), ("veth0", 2)] {
        ip(&format!("link set {interface} down"));
        send(&mut device, 100..103);
        ip(&format!("link set {interface} up"));
        send(&mut device, [number]);
        assert_eq!(received(&there, 1), [number], "{interface}");
    }
    // The port is left and taken again: what came meanwhile is nobody's, and a wait is for the socket, not for a nap.
    drop(device);
    answer();
    let mut device = on_veth();
    let frames = |device: &mut Dpdk| std::iter::from_fn(|| device.split().0.receive().map(|_| ())).count();
    assert_eq!(frames(&mut device), 0);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(20) {
        device.wait(Some(Duration::from_millis(20)), None);
        assert!(begin.elapsed() >= Duration::from_millis(20) || frames(&mut device) > 0, "woken for nothing");
    }
    // In the place of the raw socket one that has no room for more than some ten frames.
    let (full, reader) = UnixDatagram::pair().unwrap();
    // SAFETY: both are open descriptors; whoever has the first one sends to it, which is what it is for.
    assert!(unsafe { libc::dup2(full.as_raw_fd(), raw) } >= 0);
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        received(&reader, 100)
    });
    send(&mut device, 0..100);
    assert_eq!(reader.join().unwrap(), (0..100).collect::<Vec<u16>>(), "it waits for room");
}

#[test]
fn frames_are_sent_in_order_or_lost_as_on_a_wire() {
    on_a_wire("inside_sending");
}
