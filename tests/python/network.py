"""A network that is one test's alone: hosts, a router between them, packets lost in between.

    host --- veth --- router --- veth --- host       cut: the router drops what A sends to B

Each host is a network namespace without a name. Nothing but open files and the processes within
keeps it, so it goes with the test, however that ends, and nothing of it is to be seen in the
machine's own network. A cut is one table that the router replaces at once: there is no moment at
which half of it holds. Every host's own loopback device is never cut: tests look in through it.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import socket
import subprocess
import threading

CLONE_NEWNET = 0x4000_0000
TOOLS = ("ip", "iptables-restore", "nsenter", "setpriv")


def missing():
    """Why there can be no such network here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (iproute2, iptables, util-linux)"
    try:
        with Namespace() as namespace:
            namespace.run("iptables-restore", "-w", given="*filter\nCOMMIT\n")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this machine has no network namespaces with iptables: {error}"
    return None


class Namespace:
    """A network without devices but loopback; a context that lets go of it."""

    def __init__(self):
        # What a thread enters, only that thread is in.
        maker = threading.Thread(target=self._make)
        self.fd = None
        maker.start()
        maker.join()
        if self.fd is None:
            raise OSError("a network namespace could not be made")
        # As other processes open it.
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"

    def _make(self):
        if _libc().unshare(CLONE_NEWNET) == 0:
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def command(self, *words):
        """A command line that runs within; its process id is the program's."""
        return ["nsenter", f"--net={self.path}", "--", *map(str, words)]

    def run(self, *words, given=""):
        subprocess.run(self.command(*words), input=given, text=True, check=True,
                       capture_output=True)

    @contextlib.contextmanager
    def entered(self):
        """This thread is within; sockets that it makes stay so."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self.fd)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(home)


class Host(Namespace):
    """One machine of the network."""

    def __init__(self, name, number):
        super().__init__()
        self.name = name
        self.address = f"10.77.{number}.2"
        self.gateway = f"10.77.{number}.1"
        self.port_of_router = f"to{number}"

    def connect(self, port, timeout):
        """A connection from the host to itself."""
        with self.entered():
            return socket.create_connection(("127.0.0.1", port), timeout)


class Network:
    """Hosts by name; a context that lets go of them."""

    def __init__(self, names):
        self._open = contextlib.ExitStack()
        self._router = self._open.enter_context(Namespace())
        self.hosts = {}
        for number, name in enumerate(names, 1):
            self.hosts[name] = self._open.enter_context(Host(name, number))
        self._wire()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()

    def _wire(self):
        lines = []
        for host in self.hosts.values():
            lines += [
                f"link add {host.port_of_router} type veth peer name net0 netns {host.path}",
                f"addr add {host.gateway}/24 dev {host.port_of_router}",
                f"link set {host.port_of_router} up",
            ]
            inside = ["link set lo up", f"addr add {host.address}/24 dev net0",
                      "link set net0 up"]
            host.inside = "\n".join([*inside, f"route add default via {host.gateway}"])
        self._router.run("ip", "-batch", "-", given="\n".join(lines))
        for host in self.hosts.values():
            host.run("ip", "-batch", "-", given=host.inside)
        with self._router.entered():
            pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self.heal()

    def cut(self, ways):
        """From now on what goes these ways, (from, to), is lost, and nothing else."""
        rules = [f"-A FORWARD -s {self.hosts[a].address} -d {self.hosts[b].address} -j DROP"
                 for a, b in ways]
        table = ["*filter", ":FORWARD ACCEPT [0:0]", *rules, "COMMIT", ""]
        self._router.run("iptables-restore", "-w", given="\n".join(table))

    def heal(self):
        self.cut([])


def both_ways(one, others):
    """The ways between one and others, there and back."""
    return [way for other in others for way in ((one, other), (other, one))]


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _enter(fd):
    if _libc().setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
