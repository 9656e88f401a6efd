// SPDX-License-Identifier: MIT
//! Which interfaces are taken, and which frames are let pass: on a veth in a network namespace of the test's own.

use std::process::Command;
use std::time::{Duration, Instant};

use catpowder::Raw;
use inetstack::{FrameDevice, FrameReceiver, FrameSender, OpenDevice};
use queue::{Config, Errno};

/// An EtherType that nobody has (IEEE 802, "local experimental").
const OURS: [u8; 2] = [0x88, 0xb5];
/// A veth, from `veth0` to `veth1`.
const WIRE: &str = "ip link add veth0 type veth peer name veth1 && ip link set veth0 up && ip link set veth1 up";

fn on(interface: &str) -> Config {
    Config { interface: Some(interface.into()), ..Config::default() }
}

/// Runs another test of this file in a network namespace with a wire; false where this machine lets nobody make one.
fn in_a_namespace(test: &str) -> bool {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rn", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env("INSIDE", test);
        command
    };
    match unshare(WIRE).output() {
        Ok(done) if done.status.success() => {}
        Ok(done) => {
            eprintln!("not run: no namespace with a veth: {}", String::from_utf8_lossy(&done.stderr));
            return false;
        }
        Err(error) => {
            eprintln!("not run: unshare: {error}");
            return false;
        }
    }
    let done = unshare(&format!("{WIRE} && exec \"$0\" \"$@\"")).output().unwrap();
    let words = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{words}");
    assert!(words.contains("1 passed"), "{words}");
    true
}

fn is_inside(test: &str) -> bool {
    std::env::var("INSIDE").is_ok_and(|inside| inside == test)
}

#[test]
fn an_interface_is_needed() {
    assert_eq!(Raw::open(&Config::default()).err(), Some(Errno::EINVAL));
}

#[test]
fn inside_refused_interfaces() {
    if !is_inside("inside_refused_interfaces") {
        return;
    }
    assert_eq!(Raw::open(&on("nowhere0")).err(), Some(Errno::ENODEV));
    assert_eq!(Raw::open(&on("")).err(), Some(Errno::EINVAL));
    assert_eq!(Raw::open(&on("a-name-of-16-byte")).err(), Some(Errno::EINVAL));
    assert_eq!(Raw::open(&on("lo")).err(), Some(Errno::EINVAL), "no Ethernet");
    assert!(Raw::open(&on("veth0")).is_ok());
}

#[test]
fn what_is_no_ethernet_interface_is_refused() {
    in_a_namespace("inside_refused_interfaces");
}

/// A frame of ours from one end to the other, with these bytes behind the addresses.
fn send(from: &mut Raw, to: &Raw, rest: &[u8]) {
    let (source, target) = (from.mac(), to.mac());
    let (_, sender) = from.split();
    assert!(sender.ready());
    sender.send(12 + rest.len(), |frame| {
        frame[..6].copy_from_slice(&target);
        frame[6..12].copy_from_slice(&source);
        frame[12..].copy_from_slice(rest);
        true
    });
    sender.flush();
}

/// The next frame of ours: what is behind its EtherType.
fn receive(at: &mut Raw) -> Vec<u8> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let (receiver, _) = at.split();
        match receiver.receive() {
            Some(frame) if frame[12..14] == OURS => return frame[14..].to_vec(),
            Some(_) => {}
            None => {
                let left = end.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "no frame came");
                at.wait(Some(left), None);
            }
        }
    }
}

#[test]
fn inside_strange_frames() {
    if !is_inside("inside_strange_frames") {
        return;
    }
    let mut here = Raw::open(&on("veth0")).unwrap();
    // The slots are made for 1500 bytes; then both ends get longer frames.
    for interface in ["veth0", "veth1"] {
        let words = ["link", "set", interface, "mtu", "9000"];
        assert!(Command::new("ip").args(words).status().unwrap().success());
    }
    let mut there = Raw::open(&on("veth1")).unwrap();
    let mut long = OURS.to_vec();
    long.resize(5000, 1);
    send(&mut there, &here, &long);
    let tagged = |vlan: u8, word: u8| [&[0x81, 0x00, 0, vlan][..], &OURS, &[word; 50]].concat();
    send(&mut there, &here, &tagged(5, 2));
    send(&mut there, &here, &tagged(0, 3));
    send(&mut there, &here, &[&OURS[..], &[4; 50]].concat());
    // Neither the one that does not fit nor the one of another network: a tag of no network is only a priority (IEEE 802.1Q, 6.9).
    assert_eq!(receive(&mut here), [3; 50]);
    assert_eq!(receive(&mut here), [4; 50]);
}

#[test]
fn frames_that_are_too_long_and_those_of_a_vlan_are_dropped() {
    in_a_namespace("inside_strange_frames");
}
