# SPDX-License-Identifier: MIT
"""Bare-metal nodes for testbed: hosts on one LAN, two hosts on a cable, or a row of routers between two hosts.

Instructions:
Wait until all nodes are ready, save the manifest (List View, Manifest) as manifest.xml, ssh to each node once so that
your known_hosts knows it, and then, on your own machine: testbed cloudlab run --manifest manifest.xml SUITE...
The manual has all of it, in doc/cloudlab.md.
"""

# CloudLab runs this file with its own geni-lib; nothing of testbed can be imported here. Names and addresses are those
# that testbed derives for the scenarios of the same names (a test compares them).
from geni import portal
from geni.rspec import pg

HARDWARE = [
    ("c6525-25g", "c6525-25g (Utah, 2 x ConnectX-5 25 Gbit/s)"),
    ("c6525-100g", "c6525-100g (Utah, ConnectX-5 Ex 100 Gbit/s)"),
    ("xl170", "xl170 (Utah, 2 x ConnectX-4 Lx 25 Gbit/s)"),
    ("d6515", "d6515 (Utah, 2 x ConnectX-5 100 Gbit/s)"),
    ("r7525", "r7525 (Clemson, BlueField-2 100 Gbit/s)"),
]
IMAGE = "urn:publicid:IDN+emulab.net+image+emulab-ops//UBUNTU22-64-STD"
PACKAGES = "iperf3 ethtool tcpdump mptcpize nftables"
# One by one: an image that does not know one of them is to have the others.
INSTALL = f"sudo apt-get update; for package in {PACKAGES}; do sudo apt-get install -y $package; done"
NETMASK = "255.255.255.0"


def cables(layout, count):
    """Give the machines, and each link or LAN with its members."""
    if layout == "lan":
        hosts = [f"h{number}" for number in range(1, count + 1)]
        return hosts, [("s1", hosts)]
    names = ["h1"] + [f"r{number}" for number in range(1, count - 1)] + ["h2"]
    return names, [(f"{a}-{b}", [a, b]) for a, b in zip(names, names[1:])]


def build(request, layout, count, hardware, huge_pages):
    """Fill a request."""
    names, links = cables(layout, count)
    nodes = {}
    for name in names:
        node = nodes[name] = request.RawPC(name)
        node.hardware_type = hardware
        node.disk_image = IMAGE
        node.addService(pg.Execute(shell="sh", command=INSTALL))
        if huge_pages:
            node.addService(pg.Execute(shell="sh", command=f"sudo sysctl -w vm.nr_hugepages={huge_pages}"))
    used = dict.fromkeys(names, 0)
    for subnet, (link_name, members) in enumerate(links, start=1):
        lan = request.LAN(link_name)
        lan.best_effort = True
        for host, name in enumerate(members, start=1):
            interface = nodes[name].addInterface(f"eth{used[name]}")
            used[name] += 1
            interface.addAddress(pg.IPv4Address(f"10.0.{subnet}.{host}", NETMASK))
            lan.addInterface(interface)


def main():
    """Ask for the parameters, and print the request."""
    kind = portal.ParameterType
    context = portal.context
    layouts = [("lan", "hosts on one LAN"), ("chain", "two hosts, and routers in a row between them")]
    context.defineParameter("layout", "Layout", kind.STRING, "lan", layouts)
    context.defineParameter("count", "Number of nodes", kind.INTEGER, 4)
    context.defineParameter("hardware", "Node type (its NICs are known to DPDK)", kind.NODETYPE, "c6525-25g", HARDWARE)
    context.defineParameter("huge_pages", "Huge pages of 2 MiB on each node", kind.INTEGER, 1024)
    params = context.bindParameters()
    if not 2 <= params.count <= 100:
        context.reportError(portal.ParameterError("wanted 2 to 100 nodes", ["count"]))
    context.verifyParameters()
    request = context.makeRequestRSpec()
    build(request, params.layout, params.count, params.hardware, params.huge_pages)
    context.printRequestRSpec(request)


if __name__ == "__main__":
    main()
