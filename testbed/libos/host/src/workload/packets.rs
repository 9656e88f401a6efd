// SPDX-License-Identifier: MIT
//! Over UDP: ping-pong, push-pop, pktgen and dump. Each datagram begins with its number, so that loss is counted exactly.

use std::time::{Duration, Instant};

use crate::engine::{Engine, Failure, Result, Transport};
use crate::pattern;
use crate::report::Report;
use crate::workload::{address, Name, Options, Role};

const NUMBER: usize = 8;
const STREAM: u64 = 1;
/// Datagrams per second, where nothing else is asked for.
const PKTGEN_RATE: u64 = 1000;

pub fn run(engine: &mut Engine, options: &Options, report: &mut Report) -> Result<()> {
    if options.size() < NUMBER {
        return Err(Failure::wrong(format!("a datagram has {NUMBER} bytes at least: its number")));
    }
    match options.role() {
        Role::Server(place) => serve(engine, place, options, report),
        Role::Client(place) => {
            let qd = options.client_socket(engine, &Transport::Udp)?;
            match options.name {
                Name::UdpPingPong => ping(engine, qd, place, options, report)?,
                Name::Pktgen => generate(engine, qd, place, options, options.rate.unwrap_or(PKTGEN_RATE), report)?,
                Name::UdpPushPop => generate(engine, qd, place, options, options.rate.unwrap_or(0), report)?,
                _ => return Err(Failure::wrong("dump is a server: give --server")),
            }
            engine.close(qd)
        }
    }
}

/// Take datagrams until all have come or none comes any more; with ping-pong each is sent back.
fn serve(engine: &mut Engine, place: &str, options: &Options, report: &mut Report) -> Result<()> {
    let qd = engine.bound(&Transport::Udp, address(place)?)?;
    let mut seen = vec![false; usize::try_from(options.requests).unwrap_or(0)];
    options.ready()?;
    let idle = Duration::from_secs_f64(options.idle);
    let mut silence = options.timeout();
    let mut distinct = 0;
    loop {
        let token = engine.pop(qd)?;
        let Some(done) = engine.wait_for(token, silence)? else { break };
        silence = idle;
        let buffer = done.popped()?;
        report.received += 1;
        report.received_bytes += buffer.bytes().len() as u64;
        if options.name == Name::Dump {
            continue;
        }
        let number = number_of(buffer.bytes(), options)?;
        match usize::try_from(number).ok().and_then(|number| seen.get_mut(number)) {
            Some(place) => distinct += u64::from(!std::mem::replace(place, true)),
            None => return Err(Failure::wrong(format!("datagram {number} of {}", options.requests))),
        }
        if options.name == Name::UdpPingPong {
            let sender = buffer.sender();
            if sender.is_none() {
                return Err(Failure::wrong("a datagram without a sender"));
            }
            report.sent += 1;
            report.sent_bytes += buffer.bytes().len() as u64;
            let token = engine.push_on(qd, buffer, sender)?;
            engine.wait(token)?.pushed()?;
        }
    }
    if report.received == 0 {
        return Err(engine.hangs(format!("no datagram came within {} s", options.timeout)));
    }
    if options.name != Name::Dump {
        report.lost = options.requests - distinct;
    }
    engine.close(qd)
}

/// Send each datagram until it comes back.
fn ping(engine: &mut Engine, qd: i32, place: &str, options: &Options, report: &mut Report) -> Result<()> {
    let retry = Duration::from_secs_f64(options.retry);
    let mut pending = None; // no pop before the first push, which gives the queue its address
    for number in 0..options.requests {
        let first = Instant::now();
        let mut since = first;
        send(engine, qd, place, options, number, report)?;
        let mut token = pending.map_or_else(|| engine.pop(qd), Ok)?;
        loop {
            let Some(done) = engine.wait_for(token, retry.saturating_sub(since.elapsed()))? else {
                if first.elapsed() > options.timeout() {
                    return Err(
                        engine.hangs(format!("datagram {number} did not come back within {} s", options.timeout))
                    );
                }
                report.lost += 1;
                since = Instant::now();
                send(engine, qd, place, options, number, report)?;
                continue;
            };
            let buffer = done.popped()?;
            token = engine.pop(qd)?;
            report.received += 1;
            report.received_bytes += buffer.bytes().len() as u64;
            if number_of(buffer.bytes(), options)? == number {
                break; // others are late answers to what was sent twice
            }
        }
        report.time(since, engine.now());
        pending = Some(token);
    }
    Ok(())
}

fn generate(
    engine: &mut Engine,
    qd: i32,
    place: &str,
    options: &Options,
    rate: u64,
    report: &mut Report,
) -> Result<()> {
    let begin = Instant::now();
    for number in 0..options.requests {
        if let Some(nanoseconds) = (number * 1_000_000_000).checked_div(rate) {
            let due = Duration::from_nanos(nanoseconds);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
        send(engine, qd, place, options, number, report)?;
    }
    Ok(())
}

fn send(engine: &mut Engine, qd: i32, place: &str, options: &Options, number: u64, report: &mut Report) -> Result<()> {
    let token = engine.push(qd, options.size(), Some(address(place)?), |bytes| {
        bytes[..NUMBER].copy_from_slice(&number.to_be_bytes());
        pattern::fill(&mut bytes[NUMBER..], STREAM, number);
    })?;
    engine.wait(token)?.pushed()?;
    report.sent += 1;
    report.sent_bytes += u64::from(options.size);
    Ok(())
}

/// Check a datagram; give its number.
fn number_of(bytes: &[u8], options: &Options) -> Result<u64> {
    if bytes.len() != options.size() {
        return Err(Failure::wrong(format!("a datagram of {} bytes, wanted {}", bytes.len(), options.size)));
    }
    let (head, rest) = bytes.split_at(NUMBER);
    let number = head.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    pattern::check(rest, STREAM, number)?;
    Ok(number)
}
