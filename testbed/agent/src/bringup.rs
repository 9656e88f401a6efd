// SPDX-License-Identifier: MIT
//! From a plan to a network: namespaces, veth pairs with the fabric between them, addresses, routes and rules,
//! by one batch of netlink messages per namespace.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd};

use crate::error::{Context, Error, Result};
use crate::netlink::{attributes, u32_at, Batch, Netlink, Tlv, NLM_F_CREATE, NLM_F_EXCL};
use crate::node::{Home, Interface, Node};
use crate::offload;
use crate::protocol::{NodeKind, Plan, PlanEnd, PlanLink, PlanNode, PlanRoute, PlanRule, Shape};
use crate::shape::{self, Qdisc, RTM_NEWQDISC, TCA_KIND, TCA_OPTIONS};
use crate::sys;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWRULE: u16 = 32;
const RTM_NEWTFILTER: u16 = 44;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const UP: u32 = libc::IFF_UP as u32;
/// br0 of a switch: above every port's index, so that ports count from 2 as in other nodes.
const BRIDGE_INDEX: u32 = 100_000;
const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

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
        m.raw(&ifinfo(0, 0, 0, 0));
    })?;
    Ok(links.iter().filter_map(|l| u32_at(&l.payload, 4)).max().unwrap_or(1) + 1)
}

/// On the host's kernel: wait until all ends of the fabric have a carrier, which a work queue tells a little later.
pub fn await_carriers(route: &mut Netlink) -> Result<()> {
    const IFLA_OPERSTATE: u16 = 16;
    const IF_OPER_UP: &[u8] = &[6];
    const TRIES: u32 = 1000;
    for _ in 0..TRIES {
        let links = route.dump(RTM_GETLINK, "dump of interfaces", |m| {
            m.raw(&ifinfo(0, 0, 0, 0));
        })?;
        let waiting = links.iter().any(|l| {
            let flags = u32_at(&l.payload, 8).unwrap_or(0);
            let state = attributes(l.payload.get(16..).unwrap_or(&[])).find(|(kind, _)| *kind == IFLA_OPERSTATE);
            flags & UP != 0 && state.is_some_and(|(_, value)| value != IF_OPER_UP)
        });
        if !waiting {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(Error::internal("the links have no carrier after a second"))
}

/// Build everything. The fabric is the agent's own network namespace, `home`.
pub fn bring_up(plan: &Plan, first: u32, home: &Home, route: &mut Netlink, has_netem: bool) -> Result<Fabric> {
    let by_name = index_nodes(plan)?;
    let mut fabric = Fabric { first, nodes: Vec::with_capacity(plan.nodes.len()), by_name, links: Vec::new() };
    let qdiscs = plan.links.iter().map(|l| choose(l, has_netem)).collect::<Result<Vec<_>>>()?;
    fabric.nodes = create_nodes(plan)?;
    add_interfaces(plan, &mut fabric)?;
    let mut batch = Batch::new();
    for (number, link) in plan.links.iter().enumerate().filter(|_| plan.made.is_none()) {
        add_pair(&mut batch, number, link, &fabric)?;
    }
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
    run(route, batch)?;
    let result = configure(plan, &mut fabric);
    go_back(home)?;
    result.map(|()| fabric)
}

/// Make the namespaces (or enter those that are there), on every CPU that there is: the kernel takes a third of a
/// millisecond for each. A thread's namespace is its own, so this one stays where it is.
fn create_nodes(plan: &Plan) -> Result<Vec<Node>> {
    let pids: Vec<Option<i32>> = match &plan.made {
        None => vec![None; plan.nodes.len()],
        Some(made) => made.pids.iter().copied().map(Some).collect(),
    };
    if pids.len() != plan.nodes.len() {
        return Err(Error::usage(format!("{} pids for {} nodes", pids.len(), plan.nodes.len())));
    }
    let planned: Vec<(&PlanNode, Option<i32>)> = plan.nodes.iter().zip(pids).collect();
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = planned.len().div_ceil(workers).max(1);
    let create = |(node, pid): &(&PlanNode, Option<i32>)| {
        let made = match *pid {
            None => Node::create(&node.name, node.kind)?,
            Some(pid) => Node::adopt(&node.name, node.kind, pid)?,
        };
        base_sysctls(node.kind)?;
        sysctls(&node.name, &node.sysctls, false).map(|()| made)
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            planned.chunks(share).map(|part| scope.spawn(move || part.iter().map(create).collect())).collect();
        let made: Result<Vec<Vec<Node>>> = parts
            .into_iter()
            .map(|part| part.join().unwrap_or_else(|_| Err(Error::internal("a thread that made namespaces panicked"))))
            .collect();
        Ok(made?.into_iter().flatten().collect())
    })
}

fn run(route: &mut Netlink, batch: Batch) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    route.run(batch)
}

fn go_back(home: &Home) -> Result<()> {
    sys::setns(home.net.as_fd(), libc::CLONE_NEWNET).context(|| "going back to the fabric")
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
                batch.add(RTM_SETLINK, 0, format!("{}: carrier", link.name), |m| {
                    m.raw(&ifinfo(0, device(self.first, number, end), if up { UP } else { 0 }, UP));
                });
            }
        }
        run(route, batch)
    }
}

fn choose(link: &PlanLink, has_netem: bool) -> Result<[Qdisc; 2]> {
    let one = |shape| shape::choose(shape, has_netem).map_err(|e| e.at(format!("link {}", link.name)));
    Ok([one(&link.shapes[0])?, one(&link.shapes[1])?])
}

/// Give each end of a link its place in its node: indices count from 2 in the order of the links.
fn add_interfaces(plan: &Plan, fabric: &mut Fabric) -> Result<()> {
    let first = fabric.first;
    for (link, ends) in plan.links.iter().enumerate() {
        for (end, wanted) in ends.ends.iter().enumerate() {
            let node = fabric.node(&wanted.node).map_err(|e| e.at(format!("link {}", ends.name)))?;
            if wanted.iface.is_empty() || wanted.iface.len() > 15 || node.ifindex(&wanted.iface).is_some() {
                return Err(Error::usage(format!(
                    "link {}: '{}' is no free interface name in {} (1 to 15 letters)",
                    ends.name, wanted.iface, wanted.node
                )));
            }
            let ifindex = first + node.interfaces.len() as u32;
            node.interfaces.push(Interface { name: wanted.iface.clone(), ifindex, link, end });
        }
    }
    Ok(())
}

/// `struct ifinfomsg`.
fn ifinfo(family: u8, ifindex: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let wrong = || Error::usage(format!("'{text}' is no MAC address (six bytes: 02:00:00:00:00:01)"));
    let bytes: Vec<u8> = text
        .split(':')
        .map(|p| u8::from_str_radix(p, 16))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// Both veth pairs of a link: lN.0 and lN.1 here, their peers in the nodes.
fn add_pair(batch: &mut Batch, number: usize, link: &PlanLink, fabric: &Fabric) -> Result<()> {
    for (end, wanted) in link.ends.iter().enumerate() {
        let node = &fabric.nodes[find(&fabric.by_name, &wanted.node)?];
        let ifindex = node.ifindex(&wanted.iface).expect("added above");
        let mac = parse_mac(&wanted.mac).map_err(|e| e.at(format!("link {}", link.name)))?;
        let step = format!("link {}: veth pair to {}.{}", link.name, wanted.node, wanted.iface);
        batch.add(RTM_NEWLINK, NEW, step, |m| {
            let noarp = libc::IFF_NOARP as u32;
            // Not up yet either: see `open_ingress`.
            m.raw(&ifinfo(0, device(fabric.first, number, end), noarp, noarp));
            m.string(IFLA_IFNAME, &format!("l{number}.{end}"));
            common(m, wanted);
            m.nest(IFLA_LINKINFO, |i| {
                i.string(IFLA_INFO_KIND, "veth");
                i.nest(IFLA_INFO_DATA, |d| {
                    d.nest(VETH_INFO_PEER, |p| {
                        // Not up yet: a veth cannot be opened before it has its peer (drivers/net/veth.c).
                        p.raw(&ifinfo(0, ifindex, 0, 0));
                        p.string(IFLA_IFNAME, &wanted.iface);
                        p.put(IFLA_ADDRESS, &mac);
                        common(p, wanted);
                        p.u32(IFLA_NET_NS_FD, node.net.as_raw_fd() as u32);
                    });
                });
            });
        });
    }
    Ok(())
}

/// What both ends of a pair have in common: MTU, and one queue each way.
fn common(m: &mut Tlv<'_>, end: &PlanEnd) {
    m.u32(IFLA_MTU, end.mtu).u32(IFLA_NUM_TX_QUEUES, 1).u32(IFLA_NUM_RX_QUEUES, 1);
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

/// Send what comes in on one end out of the other, through that direction's impairments; then both ends go up.
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
    for end in 0..2 {
        batch.add(RTM_SETLINK, 0, format!("link {}: up", link.name), |m| {
            m.raw(&ifinfo(0, device(first, number, end), UP, UP));
        });
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

/// Inside each node: lo, bridge, addresses, routes, rules, offloads off.
fn configure(plan: &Plan, fabric: &mut Fabric) -> Result<()> {
    let mut batches: Vec<Batch> = fabric.nodes.iter().map(|_| Batch::new()).collect();
    for (node, batch) in fabric.nodes.iter().zip(&mut batches) {
        batch.add(RTM_SETLINK, 0, format!("{}: lo up", node.name), |m| {
            m.raw(&ifinfo(0, 1, UP, UP));
        });
        if node.kind == NodeKind::Switch && plan.made.is_none() {
            add_bridge(batch, node);
        }
        for interface in &node.interfaces {
            batch.add(RTM_SETLINK, 0, format!("{}.{}: up", node.name, interface.name), |m| {
                m.raw(&ifinfo(0, interface.ifindex, UP, UP));
            });
        }
    }
    for link in &plan.links {
        for end in &link.ends {
            let index = find(&fabric.by_name, &end.node)?;
            let ifindex = fabric.nodes[index].ifindex(&end.iface).expect("added above");
            for address in &end.addresses {
                add_address(&mut batches[index], end, ifindex, address)?;
            }
        }
    }
    for route in &plan.routes {
        let index = find(&fabric.by_name, &route.node).map_err(|e| e.at(format!("route to {}", route.dst)))?;
        add_route(&mut batches[index], &fabric.nodes[index], route)?;
    }
    for rule in &plan.rules {
        let index = find(&fabric.by_name, &rule.node).map_err(|e| e.at("rule"))?;
        add_rule(&mut batches[index], rule)?;
    }
    let mut offloads = offload::Offloads::default();
    for ((node, batch), planned) in fabric.nodes.iter_mut().zip(batches).zip(&plan.nodes) {
        if planned.sysctls.keys().any(|key| of_interface(key)) {
            sys::setns(node.net.as_fd(), libc::CLONE_NEWNET).context(|| "entering a network namespace")?;
            sysctls(&node.name, &planned.sysctls, true)?;
        }
        for interface in &node.interfaces {
            offloads.turn_off(node.route.fd(), &interface.name).map_err(|e| e.at(&node.name))?;
        }
        run(&mut node.route, batch)?;
    }
    Ok(())
}

fn add_bridge(batch: &mut Batch, node: &Node) {
    const IFLA_BR_MCAST_SNOOPING: u16 = 23;
    batch.add(RTM_NEWLINK, NEW, format!("{}: br0", node.name), |m| {
        m.raw(&ifinfo(0, BRIDGE_INDEX, UP, UP)).string(IFLA_IFNAME, "br0");
        m.nest(IFLA_LINKINFO, |i| {
            i.string(IFLA_INFO_KIND, "bridge");
            i.nest(IFLA_INFO_DATA, |d| {
                d.put(IFLA_BR_MCAST_SNOOPING, &[0]);
            });
        });
    });
    for interface in &node.interfaces {
        batch.add(RTM_SETLINK, 0, format!("{}: {} into br0", node.name, interface.name), |m| {
            m.raw(&ifinfo(0, interface.ifindex, 0, 0)).u32(IFLA_MASTER, BRIDGE_INDEX);
        });
    }
}

/// An address with its prefix length; a bare address is a host's own.
pub fn parse_prefix(text: &str) -> Result<(IpAddr, u8)> {
    let wrong = || Error::usage(format!("'{text}' is no address or prefix (10.0.1.1/24, fd00:1::1/64)"));
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => max,
        Some(l) => l.parse().ok().filter(|l| *l <= max).ok_or_else(wrong)?,
    };
    Ok((address, length))
}

pub fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

fn family(address: &IpAddr) -> u8 {
    if address.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

fn add_address(batch: &mut Batch, end: &PlanEnd, ifindex: u32, text: &str) -> Result<()> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_BROADCAST: u16 = 4;
    const IFA_F_NODAD: u8 = 2;
    let (address, length) = parse_prefix(text).map_err(|e| e.at(format!("{}.{}", end.node, end.iface)))?;
    let step = format!("{}.{}: address {text}", end.node, end.iface);
    batch.add(RTM_NEWADDR, NEW, step, |m| {
        // struct ifaddrmsg: family, prefixlen, flags, scope, index.
        let flags = if address.is_ipv6() { IFA_F_NODAD } else { 0 };
        let mut head = vec![family(&address), length, flags, 0];
        head.extend_from_slice(&ifindex.to_ne_bytes());
        m.raw(&head).put(IFA_LOCAL, &octets(&address)).put(IFA_ADDRESS, &octets(&address));
        if let (IpAddr::V4(v4), true) = (address, length < 31) {
            let all = u32::from(v4) | u32::MAX >> length;
            m.put(IFA_BROADCAST, &all.to_be_bytes());
        }
    });
    Ok(())
}

fn add_route(batch: &mut Batch, node: &Node, route: &PlanRoute) -> Result<()> {
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const RTA_PRIORITY: u16 = 6;
    const RTA_PREFSRC: u16 = 7;
    const RTA_TABLE: u16 = 15;
    const RTPROT_STATIC: u8 = 4;
    const RTN_UNICAST: u8 = 1;
    let place = || format!("{}: route to {}", node.name, route.dst);
    let address =
        |text: &str| text.parse::<IpAddr>().map_err(|_| Error::usage(format!("{}: '{text}' is no address", place())));
    let via = route.via.as_deref().map(address).transpose()?;
    let src = route.src.as_deref().map(address).transpose()?;
    let (dst, length) = match route.dst.as_str() {
        "default" if via.is_some_and(|v| v.is_ipv6()) => ("::".parse().expect("an address"), 0),
        "default" => ("0.0.0.0".parse().expect("an address"), 0),
        "default6" => ("::".parse().expect("an address"), 0),
        prefix => parse_prefix(prefix).map_err(|e| e.at(place()))?,
    };
    if via.is_some_and(|v| v.is_ipv4() != dst.is_ipv4()) {
        return Err(Error::usage(format!("{}: the gateway is of another family", place())));
    }
    let oif = match route.iface.as_deref() {
        None => None,
        Some(name) => {
            Some(node.ifindex(name).ok_or_else(|| Error::usage(format!("{}: no interface '{name}' there", place())))?)
        }
    };
    if via.is_none() && oif.is_none() {
        return Err(Error::usage(format!("{}: neither 'via' nor 'iface'", place())));
    }
    let table = route.table.unwrap_or(254);
    batch.add(RTM_NEWROUTE, NEW, place(), |m| {
        let scope = if via.is_some() || dst.is_ipv6() { 0 } else { 253 };
        let short = u8::try_from(table).unwrap_or(0);
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
        m.raw(&[family(&dst), length, 0, 0, short, RTPROT_STATIC, scope, RTN_UNICAST, 0, 0, 0, 0]);
        if length > 0 {
            m.put(RTA_DST, &octets(&dst));
        }
        if let Some(via) = via {
            m.put(RTA_GATEWAY, &octets(&via));
        }
        if let Some(oif) = oif {
            m.u32(RTA_OIF, oif);
        }
        if let Some(metric) = route.metric {
            m.u32(RTA_PRIORITY, metric);
        }
        if let Some(src) = src {
            m.put(RTA_PREFSRC, &octets(&src));
        }
        m.u32(RTA_TABLE, table);
    });
    Ok(())
}

fn add_rule(batch: &mut Batch, rule: &PlanRule) -> Result<()> {
    const FRA_DST: u16 = 1;
    const FRA_SRC: u16 = 2;
    const FRA_PRIORITY: u16 = 6;
    const FRA_TABLE: u16 = 15;
    const FR_ACT_TO_TBL: u8 = 1;
    let place = || format!("{}: rule for table {}", rule.node, rule.table);
    let prefix = |text: &Option<String>| text.as_deref().map(parse_prefix).transpose().map_err(|e| e.at(place()));
    let (from, to) = (prefix(&rule.from)?, prefix(&rule.to)?);
    let Some((any, _)) = from.or(to) else {
        return Err(Error::usage(format!("{}: neither 'from' nor 'to'", place())));
    };
    let length = |p: Option<(IpAddr, u8)>| p.map_or(0, |(_, l)| l);
    batch.add(RTM_NEWRULE, NEW, place(), |m| {
        // struct fib_rule_hdr: family, dst_len, src_len, tos, table, res1, res2, action, flags.
        m.raw(&[family(&any), length(to), length(from), 0, 0, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]);
        if let Some((address, _)) = from {
            m.put(FRA_SRC, &octets(&address));
        }
        if let Some((address, _)) = to {
            m.put(FRA_DST, &octets(&address));
        }
        if let Some(priority) = rule.priority {
            m.u32(FRA_PRIORITY, priority);
        }
        m.u32(FRA_TABLE, rule.table);
    });
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
fn sysctls(node: &str, wanted: &std::collections::BTreeMap<String, String>, interfaces: bool) -> Result<()> {
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
    fn prefixes_are_checked() {
        assert_eq!(parse_prefix("10.0.1.1/24").unwrap(), ("10.0.1.1".parse().unwrap(), 24));
        assert_eq!(parse_prefix("fd00::1").unwrap(), ("fd00::1".parse().unwrap(), 128));
        for wrong in ["10.0.1.1/33", "10.0.1/24", "fd00::/129", "x"] {
            assert!(parse_prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mac_addresses_are_six_bytes() {
        assert_eq!(parse_mac("02:00:00:00:0a:ff").unwrap(), [2, 0, 0, 0, 10, 255]);
        assert!(parse_mac("02:00:00:00:0a").is_err());
    }

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
