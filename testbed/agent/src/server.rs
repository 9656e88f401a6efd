// SPDX-License-Identifier: MIT
//! The one loop: read a request, work on it while the network runs, answer. Nothing here runs in parallel.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use serde_bytes::{ByteBuf, Bytes};

use crate::bringup::{self, Fabric};
use crate::capability;
use crate::capture::Capture;
use crate::clock::Clock;
use crate::error::{Context, Error, Kind, Result};
use crate::inject::Injector;
use crate::kernlog::KernelLog;
use crate::netlink::Netlink;
use crate::node::Home;
use crate::process::{Input, Process, Stream};
use crate::protocol::{self, Answer, Event, Request, Start, Stdin, Up};
use crate::readiness;
use crate::remote::Sockets;
use crate::rootfs::{self, Origin};
use crate::spawn::{self, Program};
use crate::sys::{self, Reaped};
use crate::traffic::Traffic;
use crate::wire::Channel;

/// Where this agent runs.
pub enum Place {
    /// PID 1 of a guest: reading the channel stops time.
    Guest,
    /// PID 1 of a namespace of the host's kernel, in a user namespace or not.
    Netns { user: bool },
}

/// What exists from `hello` on.
struct Base {
    home: Home,
    route: Netlink,
    has_netem: bool,
}

pub struct Server {
    channel: Channel,
    place: Place,
    /// Why this agent cannot work at all.
    broken: Option<Error>,
    shares: Vec<String>,
    /// The host's root folder, of which nothing is hidden; only a guest has it.
    lower: Option<OwnedFd>,
    clock: Clock,
    signal: OwnedFd,
    timer: OwnedFd,
    armed: Option<i64>,
    null: Option<File>,
    base: Option<Base>,
    fabric: Option<Fabric>,
    capture: Option<Capture>,
    injector: Option<Injector>,
    log: Option<KernelLog>,
    processes: BTreeMap<i64, Process>,
    sockets: Sockets,
    traffic: Traffic,
    down: bool,
}

impl Server {
    /// A server on a channel; `shares` are given beside those of `hello`.
    pub fn new(channel: Channel, place: Place, shares: Vec<String>, broken: Option<Error>) -> Result<Self> {
        sys::raise_open_files().context(|| "RLIMIT_NOFILE")?; // each process that runs has up to three files here
        Ok(Server {
            channel,
            place,
            broken,
            shares,
            lower: None,
            clock: Clock::new(),
            signal: sys::signal_fd().context(|| "signalfd")?,
            timer: sys::timer_fd().context(|| "timerfd")?,
            armed: None,
            null: None,
            base: None,
            fabric: None,
            capture: None,
            injector: None,
            log: None,
            processes: BTreeMap::new(),
            sockets: Sockets::default(),
            traffic: Traffic::default(),
            down: false,
        })
    }

    /// Serve until the host closes the channel.
    pub fn serve(&mut self) -> io::Result<()> {
        loop {
            self.idle()?;
            let Some(frame) = self.channel.read_frame()? else { return Ok(()) };
            let result = protocol::decode(&frame).and_then(|request| self.answer(request));
            // What has happened meanwhile belongs before the reply, whatever the reply is.
            let result = self.report_exits().and(result);
            let result = self.report_outputs().and(result);
            let result = self.emit_captures(false).and(result);
            let now = self.clock.now();
            if let Err(e) = self.channel.send(|out| protocol::write_reply(&result, now, out)) {
                let refused = Err(Error::usage(format!("the reply does not fit a frame: {e}")));
                self.channel.send(|out| protocol::write_reply(&refused, now, out))?;
            }
            self.channel.flush()?;
        }
    }

    /// Before a request: in a namespace the network lives on; in a guest only what is due is done, as reading stops time.
    fn idle(&mut self) -> io::Result<()> {
        let wait = matches!(self.place, Place::Netns { .. });
        loop {
            let spoken = self.pause(None, None, wait, wait).map_err(|e| io::Error::other(e.what))?;
            if !wait || spoken {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, request: Request) -> Result<Answer> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let nothing = Ok(Answer::Nothing {});
        match request {
            Request::Hello(hello) => return self.hello(hello.version, hello.shares),
            Request::Up(up) => return self.up(up),
            Request::Down => return self.bring_down().and(nothing),
            _ => {}
        }
        if self.fabric.is_none() {
            let why = if self.down { "the network is down" } else { "there is no network yet: 'up' comes first" };
            return Err(Error::usage(why));
        }
        match request {
            Request::Hello(_) | Request::Up(_) | Request::Down => unreachable!("served above"),
            Request::Spawn(start) => self.spawn(&start).map(|pid| Answer::Pid { pid }),
            Request::Run(start) => self.run(&start),
            Request::Wait(wait) => self.wait(&wait.ids, wait.all, wait.timeout),
            Request::Output(output) => {
                self.process(output.id)?;
                self.emit_output(output.id).and(nothing)
            }
            Request::Kill(kill) => self.kill(kill.id, kill.signal, kill.group).and(nothing),
            Request::Stdin(stdin) => self.stdin(stdin.id, &stdin.data, stdin.eof).and(nothing),
            Request::Sleep(sleep) => self.wait_for(Some(sleep.until), None, |_| Ok(false)).and(nothing),
            Request::Read(read) => self.in_files(&read.node, || readiness::read_file(&read.path)).map(data),
            Request::Write(write) => {
                self.in_files(&write.node, || readiness::write_file(&write.path, &write.data, write.mode)).and(nothing)
            }
            Request::Copy(copy) => {
                let from = self.host_file(&copy.host, copy.size)?;
                self.in_files(&copy.node, || readiness::copy_file(&copy.path, &from, copy.mode)).and(nothing)
            }
            Request::Await(wanted) => self.await_state(&wanted).and(nothing),
            Request::Inject(inject) => {
                let mut injector = match self.injector.take() {
                    Some(injector) => injector,
                    None => Injector::new()?,
                };
                let added = self.parts().and_then(|(fabric, base)| injector.add(inject.frames, fabric, &base.home));
                self.injector = Some(injector);
                added?;
                self.inject_due().and(nothing)
            }
            Request::Link(change) => {
                let has_netem = self.parts()?.1.has_netem;
                let (fabric, base) = self.parts()?;
                fabric
                    .change_link(&mut base.route, change.link, change.up, change.shapes.as_ref(), has_netem)
                    .and(nothing)
            }
            Request::Flush => self.emit_captures(true).and(nothing),
            other => self.socket_op(other),
        }
    }

    fn hello(&mut self, version: u32, shares: Vec<String>) -> Result<Answer> {
        if version != protocol::VERSION {
            let ours = protocol::VERSION;
            return Err(Error::usage(format!("this agent speaks version {ours} of the protocol, not {version}")));
        }
        if self.base.is_some() {
            return Err(Error::usage("hello was said already"));
        }
        self.shares.extend(shares);
        let origin = match self.place {
            Place::Guest => Origin::Hostfs,
            Place::Netns { user } => Origin::Bind { user },
        };
        self.lower = rootfs::enter(origin, &self.shares)?;
        self.null = Some(File::open("/dev/null").context(|| "/dev/null")?);
        if matches!(self.place, Place::Guest) {
            capability::prepare_guest()?;
        }
        bringup::quiet_fabric()?;
        let mut route = Netlink::open(libc::NETLINK_ROUTE).context(|| "rtnetlink")?;
        let capabilities = capability::probe(&mut route);
        let has_netem = capabilities.contains(&"netem");
        if matches!(self.place, Place::Guest) {
            self.log = Some(KernelLog::open()?);
        }
        self.base = Some(Base { home: Home::here()?, route, has_netem });
        let (release, machine) = sys::uname().context(|| "uname")?;
        let agent = env!("CARGO_PKG_VERSION");
        Ok(Answer::Hello { version, release, machine, capabilities, agent })
    }

    fn up(&mut self, up: Up) -> Result<Answer> {
        let Some(base) = &mut self.base else {
            return Err(Error::usage("'hello' comes before 'up'"));
        };
        if self.fabric.is_some() || self.down {
            return Err(Error::usage("an agent brings up one network, once"));
        }
        let plan = up.plan;
        let first = match &plan.made {
            None => bringup::first_index(&mut base.route)?,
            Some(made) => made.first,
        };
        let guest = matches!(self.place, Place::Guest);
        let wanted = plan.capture.as_ref().filter(|_| plan.links.iter().any(|l| l.capture));
        bringup::make_room(plan.nodes.len());
        // The kernel takes its time for a ring: its memory, and a grace period of RCU.
        let (ring, fabric) = std::thread::scope(|scope| {
            let ring = scope.spawn(|| wanted.map(|wanted| Capture::ring(wanted, guest)).transpose());
            let fabric = bringup::bring_up(&plan, first, &base.home, &mut base.route, base.has_netem);
            (ring.join().expect("the program ends where a thread panics"), fabric)
        });
        let fabric = fabric?;
        if let (Some(wanted), Some(ring)) = (wanted, ring?) {
            self.capture = Some(Capture::start(ring, wanted, &fabric, guest)?);
        }
        self.fabric = Some(fabric);
        let start = self.clock.start(plan.settle);
        self.wait_for(Some(0), None, |_| Ok(false))?;
        debug_assert!(start > 0);
        Ok(Answer::Nothing {})
    }

    fn parts(&mut self) -> Result<(&mut Fabric, &mut Base)> {
        match (&mut self.fabric, &mut self.base) {
            (Some(fabric), Some(base)) => Ok((fabric, base)),
            _ => Err(Error::internal("no network")),
        }
    }

    /// A file of the host that is so long, whatever its place is hidden by.
    fn host_file(&self, path: &[u8], size: u64) -> Result<File> {
        let shown = String::from_utf8_lossy(path);
        let Some(lower) = &self.lower else {
            return Err(Error::usage(format!("only a guest can copy a file of the host, such as {shown}")));
        };
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let file = sys::open_below(lower.as_fd(), relative).context(|| format!("the host's {shown}"))?;
        let found = file.metadata().context(|| format!("the host's {shown}"))?.len();
        if found != size {
            return Err(Error::usage(format!("the host's {shown} has {found} bytes, not {size}")));
        }
        Ok(file)
    }

    fn in_files<T>(&mut self, node: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let shares = std::mem::take(&mut self.shares);
        let result = self.parts().and_then(|(fabric, base)| fabric.node(node)?.in_files(&base.home, &shares, work));
        self.shares = shares;
        result?.map_err(|e| e.at(node))
    }

    // Processes.

    fn spawn(&mut self, start: &Start) -> Result<libc::pid_t> {
        if self.processes.contains_key(&start.id) {
            return Err(Error::usage(format!("process id {} is taken", start.id)));
        }
        let streams = [Stream::create()?, Stream::create()?];
        let wants_pipe = start.stdin == Stdin::Pipe || !start.input.is_empty();
        let pipe = if wants_pipe { Some(sys::pipe_to_child().context(|| "a pipe for stdin")?) } else { None };
        let shares = std::mem::take(&mut self.shares);
        let null = self.null.take();
        let started = self.parts().and_then(|(fabric, base)| {
            let node = fabric.node(&start.node)?;
            let stdin = match (&pipe, &null) {
                (Some((read_end, _)), _) => read_end.as_fd(),
                (None, Some(null)) => null.as_fd(),
                (None, None) => return Err(Error::internal("no /dev/null")),
            };
            let (net, view) = node.entrances(&base.home, &shares)?;
            spawn::spawn(&Program {
                argv: &start.argv,
                env: &start.env,
                cwd: &start.cwd,
                stdio: [stdin, streams[0].fd(), streams[1].fd()],
                net,
                mount: view.mount.as_fd(),
                uts: view.uts.as_fd(),
                output_limit: start.output_limit,
            })
        });
        self.shares = shares;
        self.null = null;
        let pid = started.map_err(|e| e.at(&start.node))?;
        let input = pipe.map(|(_, write_end)| Input::new(write_end, start.input.to_vec(), start.stdin == Stdin::Null));
        let mut process = Process { pid, streams: Some(streams), input, ended: None };
        advance_input(&mut process);
        self.processes.insert(start.id, process);
        Ok(pid)
    }

    fn run(&mut self, start: &Start) -> Result<Answer> {
        const GROUP_PATIENCE_NS: i64 = 1_000_000_000;
        let deadline = self.deadline(start.timeout);
        let pid = self.spawn(start)?;
        let id = start.id;
        let done = self.wait_for(deadline, None, |server| Ok(server.has_ended(id)))?;
        if !done {
            let _ = sys::kill(-pid, libc::SIGKILL);
            let _ = sys::kill(pid, libc::SIGKILL);
            self.wait_for(None, None, |server| Ok(server.has_ended(id)))?;
            // The others of its group die a moment later, and come to us to be reaped; a zombie whose parent lives
            // outside the group may stay, so not for ever.
            let patience = self.deadline(Some(GROUP_PATIENCE_NS));
            self.wait_for(patience, None, |_| Ok(sys::kill(-pid, 0).is_err()))?;
        }
        Ok(Answer::Done { done })
    }

    fn wait(&mut self, ids: &[i64], all: bool, timeout: Option<i64>) -> Result<Answer> {
        for &id in ids {
            self.process(id)?;
        }
        let deadline = self.deadline(timeout);
        self.wait_for(deadline, None, |server| {
            let mut ended = ids.iter().map(|&id| server.has_ended(id));
            Ok(if all { ended.all(|e| e) } else { ids.is_empty() || ended.any(|e| e) })
        })?;
        Ok(Answer::DoneIds { done: ids.iter().copied().filter(|&id| self.has_ended(id)).collect() })
    }

    fn process(&mut self, id: i64) -> Result<&mut Process> {
        self.processes.get_mut(&id).ok_or_else(|| Error::usage(format!("no process with id {id}")))
    }

    fn has_ended(&self, id: i64) -> bool {
        self.processes.get(&id).is_some_and(|p| p.ended.is_some())
    }

    fn kill(&mut self, id: i64, signal: i32, group: bool) -> Result<()> {
        let process = self.process(id)?;
        let what = || format!("signal {signal} to process {id}");
        if process.ended.is_some() && !group {
            return Err(Error::os(what(), &io::Error::from_raw_os_error(libc::ESRCH)));
        }
        sys::kill(if group { -process.pid } else { process.pid }, signal).context(what)
    }

    fn stdin(&mut self, id: i64, data: &[u8], eof: bool) -> Result<()> {
        let process = self.process(id)?;
        let Some(input) = &mut process.input else {
            return Err(Error::os(
                format!("the stdin of process {id}, which is no pipe or is closed"),
                &io::Error::from_raw_os_error(libc::EPIPE),
            ));
        };
        input.push(data, eof);
        advance_input(process);
        Ok(())
    }

    /// Collect children that have ended; others than ours are orphans that came to PID 1.
    fn reap(&mut self) -> bool {
        loop {
            match sys::reap() {
                Reaped::Child(pid, status) => {
                    let end = self.clock.now();
                    let ours = self.processes.values_mut().find(|p| p.pid == pid && p.ended.is_none());
                    if let Some(process) = ours {
                        process.ended = Some((status, end));
                        process.input = None;
                    }
                }
                Reaped::NoneYet => return true,
                Reaped::NoChildren => return false,
            }
        }
    }

    /// Send what is left of processes that have ended, in the order of their ids.
    fn report_exits(&mut self) -> Result<()> {
        let ended: Vec<(i64, i32, i64)> = self
            .processes
            .iter()
            .filter(|(_, p)| p.streams.is_some())
            .filter_map(|(&id, p)| p.ended.map(|(status, end)| (id, status, end)))
            .collect();
        for (id, status, end) in ended {
            self.emit_output(id)?;
            self.process(id)?.streams = None;
            self.emit(&Event::Exit { id, status, end })?;
        }
        Ok(())
    }

    /// Send what running processes have written since the last reply: it would be lost if the guest died in the next.
    fn report_outputs(&mut self) -> Result<()> {
        let running: Vec<i64> = self.processes.iter().filter(|(_, p)| p.streams.is_some()).map(|(&id, _)| id).collect();
        running.into_iter().try_for_each(|id| self.emit_output(id))
    }

    fn emit_output(&mut self, id: i64) -> Result<()> {
        for stream in 0..2 {
            loop {
                let Some(streams) = &mut self.process(id)?.streams else { return Ok(()) };
                let Some(piece) = streams[stream].take().context(|| "reading output")? else { break };
                self.emit(&Event::Output { id, stream: stream as u8 + 1, data: Bytes::new(&piece) })?;
            }
        }
        Ok(())
    }

    fn emit(&mut self, event: &Event<'_>) -> Result<()> {
        self.channel.send(|out| protocol::write_event(event, out)).context(|| "sending an event")
    }

    /// Send captures: all of them, or only what fills whole pieces.
    fn emit_captures(&mut self, all: bool) -> Result<()> {
        let Some(mut capture) = self.capture.take() else { return Ok(()) };
        let result = capture.emit(all, &self.clock, |event| {
            self.channel.send(|out| protocol::write_event(event, out)).context(|| "sending a capture")
        });
        self.capture = Some(capture);
        result
    }

    // Waiting.

    fn deadline(&self, timeout: Option<i64>) -> Option<i64> {
        timeout.map(|t| self.clock.now().saturating_add(t.max(0)))
    }

    /// Let the network run until `done` says so, or the deadline (network's clock) has come: false.
    /// `extra` is one more descriptor whose readiness is worth asking `done` again.
    fn wait_for(
        &mut self,
        deadline: Option<i64>,
        extra: Option<(RawFd, libc::c_short)>,
        mut done: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<bool> {
        loop {
            if done(self)? {
                return Ok(true);
            }
            let passed = deadline.is_some_and(|d| self.clock.now() >= d);
            self.pause(deadline, extra, !passed, false)?;
            if passed {
                return done(self);
            }
        }
    }

    /// Wait (or only look) for something to happen, and do what has to be done about it. True if the host has spoken.
    fn pause(
        &mut self,
        deadline: Option<i64>,
        extra: Option<(RawFd, libc::c_short)>,
        wait: bool,
        channel: bool,
    ) -> Result<bool> {
        let injection = self.injector.as_ref().and_then(Injector::next);
        let wake =
            [deadline, injection, self.traffic.next()].into_iter().flatten().min().map(|t| self.clock.monotonic(t));
        if wait && wake != self.armed {
            sys::timer_set(self.timer.as_fd(), wake).context(|| "timerfd")?;
            self.armed = wake;
        }
        let entry = |fd: RawFd, events| libc::pollfd { fd, events, revents: 0 };
        let none = -1;
        let mut fds = vec![
            entry(self.signal.as_raw_fd(), libc::POLLIN),
            entry(self.timer.as_raw_fd(), libc::POLLIN),
            entry(self.capture.as_ref().map_or(none, Capture::fd), libc::POLLIN),
            entry(if channel { self.channel.fd().as_raw_fd() } else { none }, libc::POLLIN),
            extra.map_or(entry(none, 0), |(fd, events)| entry(fd, events)),
        ];
        let writers: Vec<i64> = self
            .processes
            .iter()
            .filter(|(_, p)| p.input.as_ref().is_some_and(Input::wants_to_write))
            .map(|(&id, _)| id)
            .collect();
        for id in &writers {
            let pipe = self.processes[id].input.as_ref().map_or(none, |i| i.pipe().as_raw_fd());
            fds.push(entry(pipe, libc::POLLOUT));
        }
        let sinks = fds.len();
        fds.extend(self.traffic.watched(&self.sockets).into_iter().map(|fd| entry(fd, libc::POLLIN)));
        sys::poll(&mut fds, wait).context(|| "poll")?;
        if fds[1].revents != 0 {
            let mut count = [0; 8];
            let _ = sys::read(self.timer.as_fd(), &mut count);
            self.armed = None;
        }
        if fds[0].revents != 0 {
            let mut info = [0; std::mem::size_of::<libc::signalfd_siginfo>()];
            let _ = sys::read(self.signal.as_fd(), &mut info);
            self.reap();
        }
        self.inject_due()?;
        self.traffic.send_due(&self.clock, &self.sockets);
        let ready: Vec<RawFd> = fds[sinks..].iter().filter(|entry| entry.revents != 0).map(|entry| entry.fd).collect();
        self.traffic.take(&self.clock, &self.sockets, &ready);
        if fds[2].revents != 0 {
            if let Some(capture) = &mut self.capture {
                capture.drain(&self.clock);
            }
            if !channel {
                self.emit_captures(false)?;
            }
        }
        for (id, fd) in writers.iter().zip(&fds[5..sinks]) {
            if fd.revents != 0 {
                if let Some(process) = self.processes.get_mut(id) {
                    advance_input(process);
                }
            }
        }
        Ok(fds[3].revents != 0)
    }

    fn inject_due(&mut self) -> Result<()> {
        let Some(mut injector) = self.injector.take() else { return Ok(()) };
        let result = injector.send_due(&self.clock, self.capture.as_mut());
        self.injector = Some(injector);
        result
    }

    fn await_state(&mut self, wanted: &protocol::Await) -> Result<()> {
        const FIRST_NS: i64 = 1_000_000;
        const LONGEST_NS: i64 = 50_000_000;
        let state = readiness::State::parse(wanted)?;
        let deadline = self.deadline(wanted.timeout);
        let mut interval = FIRST_NS;
        loop {
            if self.is_ready(&wanted.node, &state)? {
                return Ok(());
            }
            let now = self.clock.now();
            if deadline.is_some_and(|d| now >= d) {
                return Err(Error::timeout(format!("{}: no {state} in time", wanted.node)));
            }
            let next = now.saturating_add(interval);
            self.wait_for(Some(deadline.map_or(next, |d| d.min(next))), None, |_| Ok(false))?;
            interval = (interval * 2).min(LONGEST_NS);
        }
    }

    fn is_ready(&mut self, node: &str, state: &readiness::State) -> Result<bool> {
        if let readiness::State::File(path) = state {
            return self.in_files(node, || Ok(std::fs::metadata(path).is_ok()));
        }
        let (fabric, base) = self.parts()?;
        state.holds(fabric.node(node)?, &base.home)
    }

    // Sockets.

    fn socket_op(&mut self, request: Request) -> Result<Answer> {
        let nothing = Ok(Answer::Nothing {});
        match request {
            Request::Socket(s) => {
                let (fabric, base) = self.parts()?;
                let made = fabric
                    .node(&s.node)?
                    .in_net(&base.home, || sys::socket(s.domain, s.r#type | libc::SOCK_NONBLOCK, s.protocol))?
                    .context(|| format!("{}: socket({}, {}, {})", s.node, s.domain, s.r#type, s.protocol))?;
                Ok(Answer::Sock { sock: self.sockets.add(made) })
            }
            Request::Bind(b) => sys::bind(self.sockets.get(b.sock)?, &b.addr).context(|| "bind").and(nothing),
            Request::Listen(l) => sys::listen(self.sockets.get(l.sock)?, l.backlog).context(|| "listen").and(nothing),
            Request::Connect(c) => self.connect(&c).and(nothing),
            Request::Accept(a) => {
                let (made, addr) = self.retry(a.sock, a.timeout, libc::POLLIN, "accept", sys::accept)?;
                Ok(Answer::Accepted { sock: self.sockets.add(made), addr: ByteBuf::from(addr) })
            }
            Request::Send(s) => {
                let addr = s.addr.as_ref().map(|a| a.as_slice());
                let flags = s.flags | libc::MSG_DONTWAIT;
                let sent =
                    self.retry(s.sock, s.timeout, libc::POLLOUT, "send", |fd| sys::sendto(fd, &s.data, flags, addr))?;
                Ok(Answer::Sent { sent })
            }
            Request::Recv(r) => {
                const MOST: usize = 8 << 20;
                let mut room = vec![0; r.max.min(MOST)];
                let flags = r.flags | libc::MSG_DONTWAIT;
                let error_queue = r.flags & libc::MSG_ERRQUEUE != 0;
                let events = if error_queue { libc::POLLERR } else { libc::POLLIN };
                let (length, addr, flags) =
                    self.retry(r.sock, r.timeout, events, "recv", |fd| sys::recvmsg(fd, &mut room, flags))?;
                room.truncate(length);
                Ok(Answer::Received { data: ByteBuf::from(room), addr: ByteBuf::from(addr), flags })
            }
            Request::SetSockOpt(o) => {
                let what = || format!("setsockopt({}, {})", o.level, o.name);
                sys::setsockopt(self.sockets.get(o.sock)?, o.level, o.name, &o.value).context(what).and(nothing)
            }
            Request::GetSockOpt(o) => {
                let what = || format!("getsockopt({}, {})", o.level, o.name);
                let fd = self.sockets.get(o.sock)?;
                let value = sys::getsockopt(fd, o.level, o.name, o.max.min(1 << 20)).context(what)?;
                Ok(Answer::Value { value: ByteBuf::from(value) })
            }
            Request::GetSockName(s) => self.name_of(s.sock, false),
            Request::GetPeerName(s) => self.name_of(s.sock, true),
            Request::Shutdown(s) => sys::shutdown(self.sockets.get(s.sock)?, s.how).context(|| "shutdown").and(nothing),
            Request::Close(c) => {
                self.traffic.forget(c.sock);
                self.sockets.close(c.sock).and(nothing)
            }
            Request::Source(s) => {
                self.sockets.get(s.sock)?;
                self.traffic.add_source(s.sock, s.size, s.at, s.addr.map(ByteBuf::into_vec))?;
                self.traffic.send_due(&self.clock, &self.sockets);
                nothing
            }
            Request::Sink(s) => self.traffic.add_sink(s.sock, self.sockets.get(s.sock)?).and(nothing),
            Request::Tally(t) => self.traffic.tally(t.sock, t.of).map(Answer::Tally),
            _ => Err(Error::internal("a request that nobody serves")),
        }
    }

    fn name_of(&self, sock: i64, peer: bool) -> Result<Answer> {
        let what = if peer { "getpeername" } else { "getsockname" };
        let addr = sys::sockname(self.sockets.get(sock)?, peer).context(|| what)?;
        Ok(Answer::Addr { addr: ByteBuf::from(addr) })
    }

    /// Try a socket call until it would not block, within its time.
    fn retry<T>(
        &mut self,
        sock: i64,
        timeout: Option<i64>,
        events: libc::c_short,
        what: &str,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<T> {
        let fd = self.sockets.get(sock)?.as_raw_fd();
        let deadline = self.deadline(timeout);
        let mut result = None;
        self.wait_for(deadline, Some((fd, events)), |_| match call(sys::borrow(fd)) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(Error::os(what, &e)),
            Ok(value) => {
                result = Some(value);
                Ok(true)
            }
        })?;
        result.ok_or_else(|| Error::timeout(format!("{what} on socket {sock}")))
    }

    fn connect(&mut self, request: &protocol::Connect) -> Result<()> {
        const SO_ERROR: i32 = 4;
        let fd = self.sockets.get(request.sock)?.as_raw_fd();
        match sys::connect(sys::borrow(fd), &request.addr) {
            Ok(()) => return Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(e) => return Err(Error::os("connect", &e)),
        }
        let deadline = self.deadline(request.timeout);
        let done = self.wait_for(deadline, Some((fd, libc::POLLOUT)), |_| {
            let mut look = [libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }];
            Ok(sys::poll(&mut look, false).context(|| "poll")? > 0)
        })?;
        if !done {
            return Err(Error::timeout(format!("connect on socket {}", request.sock)));
        }
        let value = sys::getsockopt(sys::borrow(fd), libc::SOL_SOCKET, SO_ERROR, 4).context(|| "SO_ERROR")?;
        match i32::from_ne_bytes(value.try_into().unwrap_or([0; 4])) {
            0 => Ok(()),
            errno => Err(Error::os("connect", &io::Error::from_raw_os_error(errno))),
        }
    }

    // The end.

    /// Kill what still runs, send all that is left.
    fn bring_down(&mut self) -> Result<()> {
        const PATIENCE_NS: i64 = 5_000_000_000;
        if self.down {
            return Err(Error::usage("the network is down already"));
        }
        self.down = true;
        if sys::getpid() == 1 {
            let _ = sys::kill(-1, libc::SIGKILL);
        }
        let deadline = self.clock.now().saturating_add(PATIENCE_NS);
        let gone = self.wait_for(Some(deadline), None, |server| Ok(!server.reap()))?;
        self.traffic = Traffic::default();
        self.sockets = Sockets::default();
        self.report_exits()?;
        self.emit_captures(true)?;
        let drops = self.capture.as_mut().map_or(Ok(0), Capture::drops)?;
        if drops > 0 {
            self.emit(&Event::Drops { count: drops })?;
        }
        if let Some(mut log) = self.log.take() {
            let (text, taint) = log.read()?;
            self.emit(&Event::Kernel { log: &text, taint })?;
        }
        self.fabric = None;
        if gone {
            Ok(())
        } else {
            Err(Error::new(Kind::Internal, "processes survived SIGKILL for 5 s"))
        }
    }
}

fn data(bytes: Vec<u8>) -> Answer {
    Answer::Data { data: ByteBuf::from(bytes) }
}

/// Write to a process's stdin what fits; forget the pipe when it is done with.
fn advance_input(process: &mut Process) {
    if process.input.as_mut().is_some_and(|input| !input.advance()) {
        process.input = None;
    }
}
