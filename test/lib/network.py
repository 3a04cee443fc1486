"""Sites that are machines of their own, as far as the network goes: network namespaces on one bridge, with cuts between them.

    network = Network(3, folder)
    network.sites[0].address                          "10.77.0.1"
    Process(..., [*network.sites[0].prefix, "/usr/bin/etcd", ...])     a program there
    network.inside(lambda: ask(...))                  this test's own sockets: from the hub, which no cut concerns
    with network.entered(): ...                       all that this thread makes meanwhile: sockets, threads, programs
    network.cut(0, 1); network.cut_one_way(2, 0); network.isolate(4); network.heal()
    network.hide(0, "10.77.0.101")                    site 0 hears nothing of an address that is no site's
    network.darken(0); network.lighten(0)             nothing reaches site 0 or leaves it, the hub included
    network.end()

Each has a mount namespace as well, so that a small disk can be mounted for what runs there. A cut drops packets where they arrive, without a word to the sender (nftables), also those of connections that exist. Nothing
leaves these namespaces, and nothing of them is left once their holders have ended. Root only.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import threading
from pathlib import Path

from process import Process, wait_for

CLONE_NEWNET = 0x40000000
SUBNET = "10.77.0"
HUB = 254
MORE_ADDRESSES = 20
TOOLS = ("unshare", "nsenter", "ip", "nft")

_libc = ctypes.CDLL(None, use_errno=True)


def missing():
    """What keeps this machine from having such sites, or None."""
    if os.getuid() != 0:
        return "network namespaces need root"
    absent = [tool for tool in TOOLS if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode != 0 else None  # in a chroot, for instance


def no_mounts():
    """What keeps this machine from giving a program file systems of its own, or None."""
    if os.getuid() != 0:
        return "mounting a file system needs root"
    absent = [tool for tool in ("unshare", "nsenter", "mount") if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    tried = subprocess.run(["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/tmp"],
                           capture_output=True, text=True)
    return f"no file system can be mounted here: {tried.stderr.strip()}" if tried.returncode != 0 else None  # in a chroot, for instance


def _enter(path):
    with open(path, "rb") as namespace:
        if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A network namespace and a mount namespace, which live as long as their holder does."""

    def __init__(self, name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.holder = Process(name, ["unshare", "--net", "--mount", "sh", "-c",
                                     "ip link set lo up; echo up; exec sleep infinity"], folder)
        self.holder.spawn()
        wait_for(lambda: "up" in self.holder.output.read_text(), 5, f"the network of {name} is there")
        namespaces = f"/proc/{self.holder.pid}/ns"
        self.prefix = ["nsenter", f"--net={namespaces}/net", f"--mount={namespaces}/mnt", "--"]

    def run(self, *command, text=None):
        subprocess.run([*self.prefix, *command], check=True, capture_output=True, input=text, text=True)

    def small_disk(self, folder, size):
        """From now on programs here see an empty disk of so many bytes at the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder))

    def seen_here(self, path):
        """Where the test finds what programs here see at this path."""
        return Path(f"/proc/{self.holder.pid}/root{path}")

    def end(self):
        self.holder.wanted_dead = True
        self.holder.end()


class Site(Namespace):
    def __init__(self, number, hub, folder):
        super().__init__(f"site-{number}", folder)
        self.number = number
        self.address = f"{SUBNET}.{number + 1}"
        self.addresses = [self.address]
        outer = f"out{number}"
        hub.run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        hub.run("ip", "link", "set", outer, "master", "bridge0", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.drop([])

    def add_address(self):
        """One more, for a second server here."""
        self.addresses.append(f"{SUBNET}.{self.number + 1 + MORE_ADDRESSES * len(self.addresses)}")
        self.run("ip", "address", "add", f"{self.addresses[-1]}/24", "dev", "eth0")

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
        self.hidden = set()  # (address, site)

    def inside(self, work):
        """Runs work in a thread whose sockets are the hub's; its result, or its exception."""
        result = []

        def enter_and_work():
            try:
                _enter(f"/proc/{self.hub.holder.pid}/ns/net")
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

    @contextlib.contextmanager
    def entered(self):
        """This thread stands in the hub's network, and so do the threads and programs that it starts."""
        with open("/proc/thread-self/ns/net", "rb") as own:
            _enter(f"/proc/{self.hub.holder.pid}/ns/net")
            try:
                yield
            finally:
                _enter(f"/proc/self/fd/{own.fileno()}")

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
        """No site is cut off from another any more."""
        self.change(set())

    def hide(self, number, address):
        self.change(self.lost, self.hidden | {(address, number)})

    def show(self, number, address):
        self.change(self.lost, self.hidden - {(address, number)})

    def darken(self, number):
        """The site is gone without a word to anybody: all that leaves it or comes is lost, the hub's packets too."""
        self.sites[number].run("nft", "-f", "-", text="table ip dark {\n" + "".join(
            f" chain {hook} {{\n  type filter hook {hook} priority 0; policy accept;\n  {way} != \"lo\" drop\n }}\n"
            for hook, way in (("input", "iifname"), ("output", "oifname"))) + "}\n")

    def lighten(self, number):
        self.sites[number].run("nft", "delete", "table", "ip", "dark")

    def change(self, lost, hidden=None):
        hidden = self.hidden if hidden is None else hidden
        for site in self.sites:
            before, after = self.silent(site, self.lost, self.hidden), self.silent(site, lost, hidden)
            if before != after:
                site.drop(sorted(after))
        self.lost, self.hidden = lost, hidden

    def silent(self, site, lost, hidden):
        """Whose packets the site is not to hear."""
        return ({address for source, target in lost if target == site.number for address in self.sites[source].addresses} |
                {address for address, number in hidden if number == site.number})

    def end(self):
        for namespace in [*self.sites, self.hub]:
            namespace.end()
