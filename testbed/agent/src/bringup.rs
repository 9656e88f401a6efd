// SPDX-License-Identifier: MIT
//! From a plan to a network: namespaces, veth pairs with the fabric between them, addresses, routes and rules,
//! by one batch of netlink messages per namespace.

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::netconf::{self, NEW};
use crate::netlink::{attributes, u32_at, Batch, Netlink, Tlv};
use crate::node::{self, Home, Interface, Node};
use crate::offload::Offloads;
use crate::protocol::{NodeKind, Plan, PlanEnd, PlanLink, PlanNode, Shape};
use crate::shape::{self, Qdisc, RTM_NEWQDISC, TCA_KIND, TCA_OPTIONS};
use crate::sys;

const RTM_GETLINK: u16 = 18;
const RTM_NEWTFILTER: u16 = 44;
/// Descriptors that a node needs: its network namespace and its socket there.
const FILES_OF_A_NODE: usize = 2;

/// A link of the running network.
pub struct Link {
    pub name: String,
    pub nodes: [String; 2],
    pub capture: bool,
    mtu: u32,
    qdiscs: [Qdisc; 2],
}

/// The network that a plan became.
pub struct Fabric {
    /// Interfaces count from here, in every namespace.
    first: u32,
    pub nodes: Vec<Node>,
    pub by_name: HashMap<String, usize>,
    pub links: Vec<Link>,
}

/// The fabric's interface of one end of a link, when interfaces count from `first` in the nodes.
///
/// Both ends of a pair need different indices: the kernel delays news of the carrier by up to a second where they are
/// the same (linkwatch_urgent_event in net/core/link_watch.c).
fn device(first: u32, link: usize, end: usize) -> u32 {
    first + 1000 + (2 * link + end) as u32
}

/// In the fabric, before anything is in it: its own stack stays silent.
pub fn quiet_fabric() -> Result<()> {
    if fs::metadata("/proc/sys/net/ipv6/conf").is_ok() {
        fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").context(|| "disable_ipv6 of the fabric")?;
    }
    Ok(())
}

/// The first free index of a fresh namespace: 2, or more where the kernel puts tunnel devices into each.
pub fn first_index(route: &mut Netlink) -> Result<u32> {
    let links = route.dump(RTM_GETLINK, "dump of interfaces", |m| {
        m.raw(&netconf::ifinfo(0, 0, 0, 0));
    })?;
    Ok(links.iter().filter_map(|l| u32_at(&l.payload, 4)).max().unwrap_or(1) + 1)
}

/// Wait until an interface has a carrier by the news of it, without which it does not send. A work queue tells them, and
/// from 6.5 on whoever asks for the state before (linkwatch_sync_dev in rtnl_getlink).
fn await_carrier(route: &mut Netlink, ifindex: u32, step: &str) -> Result<()> {
    const IFLA_OPERSTATE: u16 = 16;
    const IF_OPER_UP: &[u8] = &[6];
    const PAUSE: Duration = Duration::from_micros(200);
    const TRIES: u32 = 25_000;
    for _ in 0..TRIES {
        let link = route.ask(RTM_GETLINK, step, |m| {
            m.raw(&netconf::ifinfo(0, ifindex, 0, 0));
        })?;
        if attributes(link.payload.get(16..).unwrap_or(&[])).any(|found| found == (IFLA_OPERSTATE, IF_OPER_UP)) {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::internal(format!("{step}: not there after {:?}", PAUSE * TRIES)))
}

/// Let this process have room for the descriptors of so many nodes, while it has one thread: threads share the table, and
/// each time that it must grow they wait for an RCU grace period (expand_fdtable in fs/file.c). Where the limit is lower
/// (getrlimit(2)), the node that finds no room says so.
pub fn make_room(nodes: usize) {
    let _ = sys::make_room_for_files(FILES_OF_A_NODE * nodes);
}

/// Build everything. The fabric is the agent's own network namespace, `home`.
///
/// The nodes come first, each as a whole, and their links get a carrier at the very end: else the kernel would work on
/// news of carriers and IPv6 addresses meanwhile, and each of our messages would wait for its lock.
pub fn bring_up(plan: &Plan, first: u32, home: &Home, route: &mut Netlink, has_netem: bool) -> Result<Fabric> {
    let by_name = index_nodes(plan)?;
    let qdiscs = plan.links.iter().map(|l| choose(l, has_netem)).collect::<Result<Vec<_>>>()?;
    let nodes = make_nodes(prepare(plan, first, home, &by_name)?)?;
    let mut fabric = Fabric { first, nodes, by_name, links: Vec::new() };
    let mut batch = Batch::new();
    for (number, link) in plan.links.iter().enumerate() {
        open_ingress(&mut batch, first, number, link);
    }
    for (number, link) in plan.links.iter().enumerate() {
        wire(&mut batch, first, number, link, qdiscs[number]);
        fabric.links.push(Link {
            name: link.name.clone(),
            nodes: [link.ends[0].node.clone(), link.ends[1].node.clone()],
            capture: link.capture,
            mtu: link.ends[0].mtu.max(link.ends[1].mtu),
            qdiscs: qdiscs[number],
        });
    }
    route.run(batch)?;
    connect(plan, &mut fabric, route)?;
    Ok(fabric)
}

/// What is to be done for one node.
struct Work<'a> {
    node: &'a PlanNode,
    /// A process in its network namespace, where that is made already.
    pid: Option<i32>,
    interfaces: Vec<Interface>,
    /// Makes its interfaces; gives them addresses, routes and rules.
    batches: [Batch; 2],
}

/// Say of each node what is to be done.
fn prepare<'a>(plan: &'a Plan, first: u32, home: &Home, by_name: &HashMap<String, usize>) -> Result<Vec<Work<'a>>> {
    let pids: Vec<Option<i32>> = match &plan.made {
        None => vec![None; plan.nodes.len()],
        Some(made) => made.pids.iter().copied().map(Some).collect(),
    };
    if pids.len() != plan.nodes.len() {
        return Err(Error::usage(format!("{} pids for {} nodes", pids.len(), plan.nodes.len())));
    }
    let mut works: Vec<Work<'_>> = plan
        .nodes
        .iter()
        .zip(pids)
        .map(|(node, pid)| Work { node, pid, interfaces: Vec::new(), batches: [Batch::new(), Batch::new()] })
        .collect();
    for work in &mut works {
        let name = &work.node.name;
        netconf::set_up(&mut work.batches[0], netconf::LOOPBACK, true, format!("{name}: lo up"));
        if work.node.kind == NodeKind::Switch && plan.made.is_none() {
            netconf::add_bridge(&mut work.batches[0], name);
        }
    }
    for (number, link) in plan.links.iter().enumerate() {
        for end in 0..2 {
            let wanted = &link.ends[end];
            find(by_name, &wanted.node)
                .and_then(|index| works[index].add_interface(first, number, end, wanted, home))
                .map_err(|e| e.at(format!("link {}", link.name)))?;
        }
    }
    for route in &plan.routes {
        let work = &mut works[find(by_name, &route.node).map_err(|e| e.at(format!("route to {}", route.dst)))?];
        netconf::add_route(&mut work.batches[1], &work.interfaces, route)?;
    }
    for rule in &plan.rules {
        let index = find(by_name, &rule.node).map_err(|e| e.at("rule"))?;
        netconf::add_rule(&mut works[index].batches[1], rule)?;
    }
    Ok(works)
}

/// Make the nodes on every CPU that there is: the kernel takes a third of a millisecond for a namespace. A thread's
/// namespace is its own, so this one stays where it is.
fn make_nodes(works: Vec<Work<'_>>) -> Result<Vec<Node>> {
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(works.len());
    // Those with the most interfaces first, so that no thread is left with one of them in the end.
    let mut queue: Vec<(usize, Work<'_>)> = works.into_iter().enumerate().collect();
    queue.sort_by_key(|(index, work)| (work.interfaces.len(), std::cmp::Reverse(*index)));
    let queue = Mutex::new(queue);
    let next = || queue.lock().map_or(None, |mut rest| rest.pop());
    let mut made: Vec<(usize, Result<Node>)> = std::thread::scope(|scope| {
        let work = || -> Vec<_> {
            let mut offloads = Offloads::default();
            std::iter::from_fn(next).map(|(index, work)| (index, make_node(work, &mut offloads))).collect()
        };
        let parts: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        parts.into_iter().flat_map(|part| part.join().expect("the program ends where a thread panics")).collect()
    });
    made.sort_by_key(|(index, _)| *index); // the first error is that of the first node
    made.into_iter().map(|(_, node)| node).collect()
}

/// Make one node, all but the carriers of its links; this thread is left in its network namespace.
fn make_node(work: Work<'_>, offloads: &mut Offloads) -> Result<Node> {
    let PlanNode { name, kind, sysctls } = work.node;
    let mut node = match work.pid {
        None => Node::create(name)?,
        Some(pid) => Node::adopt(name, pid)?,
    };
    node.interfaces = work.interfaces;
    base_sysctls(*kind).map_err(|e| e.at(name))?;
    set_sysctls(name, sysctls, false)?;
    let [interfaces, rest] = work.batches;
    node.route.run(interfaces)?;
    set_sysctls(name, sysctls, true)?;
    for interface in &node.interfaces {
        offloads.turn_off(node.route.fd(), &interface.name).map_err(|e| e.at(name))?;
    }
    node.route.run(rest)?;
    Ok(node)
}

fn index_nodes(plan: &Plan) -> Result<HashMap<String, usize>> {
    let mut by_name = HashMap::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        if node.name.is_empty() || node.name.contains('/') || node.name.starts_with('.') || node.name.len() > 63 {
            return Err(Error::usage(format!("'{}' is no name for a node: 1 to 63 letters, no '/'", node.name)));
        }
        if by_name.insert(node.name.clone(), index).is_some() {
            return Err(Error::usage(format!("two nodes are called '{}'", node.name)));
        }
    }
    Ok(by_name)
}

fn find(by_name: &HashMap<String, usize>, name: &str) -> Result<usize> {
    by_name.get(name).copied().ok_or_else(|| {
        let mut names: Vec<_> = by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        Error::usage(format!("no node '{name}'; there are: {}", names.join(", ")))
    })
}

impl Fabric {
    /// A node by its name.
    pub fn node(&mut self, name: &str) -> Result<&mut Node> {
        let index = find(&self.by_name, name)?;
        Ok(&mut self.nodes[index])
    }

    /// The fabric's interface of one end of a link.
    pub fn device(&self, link: usize, end: usize) -> u32 {
        device(self.first, link, end)
    }

    /// A link by its number.
    pub fn link(&self, number: usize) -> Result<&Link> {
        let count = self.links.len();
        self.links.get(number).ok_or_else(|| Error::usage(format!("no link {number}; there are {count}, from 0")))
    }

    /// Change what a link does to frames, or whether it has a carrier.
    pub fn change_link(
        &mut self,
        route: &mut Netlink,
        number: usize,
        up: Option<bool>,
        shapes: Option<&[Shape; 2]>,
        has_netem: bool,
    ) -> Result<()> {
        self.link(number)?;
        let link = &mut self.links[number];
        let mut batch = Batch::new();
        if let Some(shapes) = shapes {
            for (direction, shape) in shapes.iter().enumerate() {
                let new = shape::choose(shape, has_netem).map_err(|e| e.at(&link.name))?;
                let ifindex = device(self.first, number, 1 - direction);
                shape::apply(&mut batch, &link.name, ifindex, shape, link.mtu, link.qdiscs[direction], new);
                link.qdiscs[direction] = new;
            }
        }
        if let Some(up) = up {
            for end in 0..2 {
                netconf::set_up(&mut batch, device(self.first, number, end), up, format!("{}: carrier", link.name));
            }
        }
        route.run(batch)
    }
}

fn choose(link: &PlanLink, has_netem: bool) -> Result<[Qdisc; 2]> {
    let one = |shape| shape::choose(shape, has_netem).map_err(|e| e.at(format!("link {}", link.name)));
    Ok([one(&link.shapes[0])?, one(&link.shapes[1])?])
}

impl Work<'_> {
    /// Give an end of a link its place in the node: indices count from `first` in the order of the links.
    fn add_interface(&mut self, first: u32, link: usize, end: usize, wanted: &PlanEnd, home: &Home) -> Result<()> {
        let PlanEnd { node, iface, .. } = wanted;
        if iface.is_empty() || iface.len() > 15 || node::ifindex(&self.interfaces, iface).is_some() {
            return Err(Error::usage(format!("'{iface}' is no free interface name in {node} (1 to 15 letters)")));
        }
        let ifindex = first + self.interfaces.len() as u32;
        self.interfaces.push(Interface { name: iface.clone(), ifindex, link, end });
        let [made, rest] = &mut self.batches;
        // It goes up with its first message, unless there is something to be said to it before.
        let at_once = self.pid.is_none() && !self.node.sysctls.keys().any(|key| of_interface(key));
        if self.pid.is_none() {
            let pair = netconf::Pair {
                ifindex,
                up: at_once,
                in_bridge: self.node.kind == NodeKind::Switch,
                peer: &format!("l{link}.{end}"),
                peer_index: device(first, link, end),
            };
            netconf::add_pair(made, &pair, wanted, home)?;
        }
        if !at_once {
            netconf::set_up(rest, ifindex, true, format!("{node}.{iface}: up"));
        }
        wanted.addresses.iter().try_for_each(|address| netconf::add_address(rest, wanted, ifindex, address))
    }
}

/// Prepare both ends for the filters of `wire`: of all links first, as the first filter of a clsact waits for an RCU grace
/// period since it was made (mini_qdisc_pair_swap in net/sched/sch_generic.c), and one is enough for all. The ends are
/// down: a qdisc that an interface gets while it is up costs another one (dev_deactivate_many there).
fn open_ingress(batch: &mut Batch, first: u32, number: usize, link: &PlanLink) {
    const CLSACT_PARENT: u32 = 0xffff_fff1;
    const CLSACT_HANDLE: u32 = 0xffff_0000;
    for end in 0..2 {
        batch.add(RTM_NEWQDISC, NEW, format!("link {}: clsact", link.name), |m| {
            m.raw(&shape::tcmsg(device(first, number, end), CLSACT_HANDLE, CLSACT_PARENT, 0));
            m.string(TCA_KIND, "clsact");
        });
    }
}

/// Send what comes in on one end out of the other, through that direction's impairments.
fn wire(batch: &mut Batch, first: u32, number: usize, link: &PlanLink, qdiscs: [Qdisc; 2]) {
    const INGRESS: u32 = 0xffff_fff2;
    const PRIO_AND_ALL_PROTOCOLS: u32 = 1 << 16 | (libc::ETH_P_ALL as u16).to_be() as u32;
    for end in 0..2 {
        let (from, to) = (device(first, number, end), device(first, number, 1 - end));
        batch.add(RTM_NEWTFILTER, NEW, format!("link {}: redirect filter", link.name), |m| {
            m.raw(&shape::tcmsg(from, 0, INGRESS, PRIO_AND_ALL_PROTOCOLS)).string(TCA_KIND, "u32");
            m.nest(TCA_OPTIONS, |o| redirect(o, to));
        });
    }
    let mtu = link.ends[0].mtu.max(link.ends[1].mtu);
    for (direction, shape) in link.shapes.iter().enumerate() {
        let ifindex = device(first, number, 1 - direction);
        let step = format!("link {}: {} to {}", link.name, link.ends[direction].node, link.ends[1 - direction].node);
        shape::apply(batch, &step, ifindex, shape, mtu, Qdisc::None, qdiscs[direction]);
    }
}

/// `u32 match u32 0 0 action mirred egress redirect dev TO`.
fn redirect(o: &mut Tlv<'_>, to: u32) {
    const TCA_U32_SEL: u16 = 5;
    const TCA_U32_ACT: u16 = 7;
    const TCA_ACT_KIND: u16 = 1;
    const TCA_ACT_OPTIONS: u16 = 2;
    const TCA_MIRRED_PARMS: u16 = 2;
    const TC_U32_TERMINAL: u8 = 1;
    const TC_ACT_STOLEN: u32 = 4;
    const TCA_EGRESS_REDIR: u32 = 1;
    // struct tc_u32_sel (16 bytes) with one key (16 bytes) that matches everything.
    let mut selector = [0_u8; 32];
    selector[0] = TC_U32_TERMINAL;
    selector[2] = 1;
    o.put(TCA_U32_SEL, &selector);
    o.nest(TCA_U32_ACT, |list| {
        list.nest(1, |action| {
            action.string(TCA_ACT_KIND, "mirred");
            action.nest(TCA_ACT_OPTIONS, |options| {
                // struct tc_mirred: index, capab, action, refcnt, bindcnt, eaction, ifindex.
                let words = [0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, to];
                let bytes: Vec<u8> = words.iter().flat_map(|w: &u32| w.to_ne_bytes()).collect();
                options.put(TCA_MIRRED_PARMS, &bytes);
            });
        });
    });
}

/// Give all links their carrier, those of hosts and routers first: what these have to say then (IPv6 reports their
/// multicast groups several times within a second, RFC 9777, section 9.11), which a switch hands on to all others, ends at
/// ports that are still down. Where time is virtual the ports wait for the last word.
fn connect(plan: &Plan, fabric: &mut Fabric, route: &mut Netlink) -> Result<()> {
    const BEFORE_START_NS: i64 = 700_000_000;
    let is_switch = |end: &PlanEnd| plan.nodes[fabric.by_name[&end.node]].kind == NodeKind::Switch;
    let (ports, others): (Vec<_>, Vec<_>) = ends(plan).partition(|(_, _, end)| is_switch(end));
    raise(&others, fabric, route)?;
    let early_ns = plan.settle - BEFORE_START_NS - sys::clock_ns(libc::CLOCK_MONOTONIC);
    if let (false, Ok(early_ns)) = (ports.is_empty(), u64::try_from(early_ns)) {
        std::thread::sleep(Duration::from_nanos(early_ns));
    }
    raise(&ports, fabric, route)
}

/// All ends of all links, with the numbers of the link and of its end.
fn ends(plan: &Plan) -> impl Iterator<Item = (usize, usize, &PlanEnd)> {
    plan.links.iter().enumerate().flat_map(|(link, planned)| [0, 1].map(|end| (link, end, &planned.ends[end])))
}

/// Let the fabric's side of these ends go up, in parts: the kernel tells of 100 interfaces' carriers at once, and of
/// what is left a second later (__linkwatch_run_queue in net/core/link_watch.c).
fn raise(ends: &[(usize, usize, &PlanEnd)], fabric: &mut Fabric, route: &mut Netlink) -> Result<()> {
    const ENDS_AT_ONCE: usize = 40;
    for part in ends.chunks(ENDS_AT_ONCE) {
        let mut batch = Batch::new();
        for &(link, end, wanted) in part {
            let step = format!("link of {}.{}: up", wanted.node, wanted.iface);
            netconf::set_up(&mut batch, fabric.device(link, end), true, step);
        }
        route.run(batch)?;
        for &(link, end, wanted) in part {
            let step = format!("{}.{}: carrier", wanted.node, wanted.iface);
            await_carrier(route, fabric.device(link, end), &step)?;
            let node = fabric.node(&wanted.node)?;
            if let Some(ifindex) = node::ifindex(&node.interfaces, &wanted.iface) {
                await_carrier(&mut node.route, ifindex, &step)?;
            }
        }
    }
    Ok(())
}

/// What every node of a kind needs before it has interfaces; they inherit the defaults.
fn base_sysctls(kind: NodeKind) -> Result<()> {
    let write = |path: &str| fs::write(format!("/proc/sys/net/{path}"), "1");
    let zero = |path: &str| fs::write(format!("/proc/sys/net/{path}"), "0");
    let has_ipv6 = fs::metadata("/proc/sys/net/ipv6/conf").is_ok();
    let ipv6 = |done: std::io::Result<()>, what: &str| if has_ipv6 { done.context(|| what.to_owned()) } else { Ok(()) };
    if kind == NodeKind::Switch {
        return ipv6(write("ipv6/conf/default/disable_ipv6"), "disable_ipv6 of a switch");
    }
    ipv6(zero("ipv6/conf/default/accept_dad"), "accept_dad")?;
    ipv6(zero("ipv6/conf/default/accept_ra"), "accept_ra")?;
    if kind == NodeKind::Router {
        write("ipv4/ip_forward").context(|| "ip_forward")?;
        ipv6(write("ipv6/conf/all/forwarding"), "forwarding")?;
    }
    Ok(())
}

/// True for a sysctl of one interface, which exists only after the interface.
fn of_interface(key: &str) -> bool {
    let mut parts = key.split(['.', '/']);
    let scope = parts.by_ref().skip_while(|p| !matches!(*p, "conf" | "neigh")).nth(1);
    scope.is_some_and(|s| !matches!(s, "all" | "default" | "lo"))
}

/// Write a node's sysctls: those of interfaces, or the others.
fn set_sysctls(node: &str, wanted: &std::collections::BTreeMap<String, String>, interfaces: bool) -> Result<()> {
    for (key, value) in wanted.iter().filter(|(key, _)| of_interface(key) == interfaces) {
        if key.split(['.', '/']).any(|part| part.is_empty()) {
            return Err(Error::usage(format!("{node}: '{key}' is no sysctl")));
        }
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        fs::write(path, value).context(|| format!("{node}: sysctl {key}={value}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctls_of_interfaces_come_after_them() {
        assert!(of_interface("net.ipv4.conf.eth0.rp_filter"));
        assert!(!of_interface("net.ipv4.conf.all.rp_filter"));
        assert!(!of_interface("net.ipv4.tcp_ecn"));
    }

    #[test]
    fn fabric_indices_never_meet_those_of_nodes() {
        assert_eq!([device(2, 0, 0), device(2, 0, 1), device(2, 1, 0)], [1002, 1003, 1004]);
    }
}
