"""Sites that are machines of their own, as far as the network goes: network namespaces on one bridge, with cuts between them.

    network = Network(3, folder)
    network.sites[0].address                          "10.77.0.1"
    Process(..., [*network.sites[0].prefix, "/usr/bin/etcd", ...])     a program there
    network.inside(lambda: ask(...))                  this test's own sockets: from the hub, which no cut concerns
    network.cut(0, 1); network.cut_one_way(2, 0); network.isolate(4); network.heal()
    network.end()

A cut drops packets where they arrive, without a word to the sender (nftables), also those of connections that exist. Nothing
leaves these namespaces, and nothing of them is left once their holders have ended. Root only.
"""

import ctypes
import os
import shutil
import subprocess
import threading

from process import Process, wait_for

CLONE_NEWNET = 0x40000000
SUBNET = "10.77.0"
HUB = 254
TOOLS = ("unshare", "nsenter", "ip", "nft")

_libc = ctypes.CDLL(None, use_errno=True)


def missing():
    """What keeps this machine from having such sites, or None."""
    if os.getuid() != 0:
        return "network namespaces need root"
    absent = [tool for tool in TOOLS if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    return f"{', '.join(absent)} not installed" if absent else None


class Namespace:
    """A network namespace, which lives as long as its holder does."""

    def __init__(self, name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.holder = Process(name, ["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep infinity"], folder)
        self.holder.spawn()
        wait_for(lambda: "up" in self.holder.output.read_text(), 5, f"the network of {name} is there")
        self.prefix = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]

    def run(self, *command, text=None):
        subprocess.run([*self.prefix, *command], check=True, capture_output=True, input=text, text=True)

    def end(self):
        self.holder.wanted_dead = True
        self.holder.end()


class Site(Namespace):
    def __init__(self, number, hub, folder):
        super().__init__(f"site-{number}", folder)
        self.number = number
        self.address = f"{SUBNET}.{number + 1}"
        outer = f"out{number}"
        hub.run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        hub.run("ip", "link", "set", outer, "master", "bridge0", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.drop([])

    def drop(self, sources):
        """From now on packets of these addresses, and of no others, are lost here. In one step."""
        rules = f"ip saddr {{ {', '.join(sources)} }} drop\n" if sources else ""
        self.run("nft", "-f", "-", text="table ip cut {}\ndelete table ip cut\ntable ip cut {\n chain input {\n"
                 f"  type filter hook input priority 0; policy accept;\n  {rules} }}\n}}\n")


class Network:
    """Sites 0 to count - 1, and the hub."""

    def __init__(self, count, folder):
        self.hub = Namespace("hub", folder / "hub")
        self.hub.run("ip", "link", "add", "bridge0", "type", "bridge")
        self.hub.run("ip", "address", "add", f"{SUBNET}.{HUB}/24", "dev", "bridge0")
        self.hub.run("ip", "link", "set", "bridge0", "up")
        self.sites = [Site(number, self.hub, folder / f"site-{number}") for number in range(count)]
        self.lost = set()  # (from, to)

    def inside(self, work):
        """Runs work in a thread whose sockets are the hub's; its result, or its exception."""
        result = []

        def enter_and_work():
            try:
                with open(f"/proc/{self.hub.holder.pid}/ns/net", "rb") as namespace:
                    if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                result.append((work(), None))
            except BaseException as problem:  # handed to the caller
                result.append((None, problem))

        thread = threading.Thread(target=enter_and_work)
        thread.start()
        thread.join()
        value, problem = result[0]
        if problem is not None:
            raise problem
        return value

    def cut_one_way(self, source, target):
        self.change(self.lost | {(source, target)})

    def cut(self, one, other):
        self.change(self.lost | {(one, other), (other, one)})

    def isolate(self, number):
        """The site is cut off from all others; the hub, where clients are, still reaches it."""
        others = {site.number for site in self.sites} - {number}
        self.change(self.lost | {(number, other) for other in others} | {(other, number) for other in others})

    def silence(self, number):
        """The site hears the others, but nobody hears it."""
        self.change(self.lost | {(number, site.number) for site in self.sites if site.number != number})

    def heal(self):
        self.change(set())

    def change(self, lost):
        for site in self.sites:
            before = {source for source, target in self.lost if target == site.number}
            after = {source for source, target in lost if target == site.number}
            if before != after:
                site.drop(sorted(self.sites[source].address for source in after))
        self.lost = lost

    def end(self):
        for namespace in [*self.sites, self.hub]:
            namespace.end()
