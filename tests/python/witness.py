"""Who of a pair was active when: exactly by the logs, and by looking all the time.

All processes run on one machine, so that the times of their logs are of one clock. A server acts
from the line that says so to the line that says it does no longer, or to its end. One that got no
CPU notices late; the line says how long ago its lease had ended, and that is when it ceased to
act. One that was halted acts no more from then on, unless it goes on within its lease.

Looking shows what logs cannot lie about. Two are active only if the same activation of one was
seen before and after the other's: no delay between two looks can pretend it.
"""

import calendar
import re
import threading
import time

from pair import LEASE

LINE = re.compile(r"^[IWEF](\d{8} \d\d:\d\d:\d\d)\.(\d{6}) +\d+ [^\]]*\] (.*)$")
BEGAN = re.compile(r"Active statestored \(epoch (\d+)\): (.*)")
ENDED = re.compile(r"No longer the active statestored \(epoch (\d+) is over\)[^:]*: ([^;]*)"
                   r"(?:; its lease ended ([\d.]+) ms ago)?")
FOLLOWS = re.compile(
    r"Active statestored (?:is |changed from \S+ to |)(\S+):\d+ (?:\(version|became active anew)"
    r"|Registered with statestored (\S+):\d+ \(statestore id \S+, active\)")
# A look every so often: quick enough to see what matters, slow enough to leave the cores alone.
PAUSE = 0.02


def lines(daemon):
    """(time, text) of its log."""
    for line in daemon.log().splitlines():
        if found := LINE.match(line):
            second = calendar.timegm(time.strptime(found[1], "%Y%m%d %H:%M:%S"))
            yield second + int(found[2]) / 1e6, found[3]


class Period:
    """From when to when one server was active; `end` is infinite for one that still is."""

    def __init__(self, server, begin, why):
        self.server = server
        self.begin = begin
        self.end = float("inf")
        self.why = why
        self.ended = None

    def __repr__(self):
        return f"{self.server.name} [{self.begin:.3f}, {self.end:.3f}] {self.why} / {self.ended}"


def periods(server):
    """The server's times as the active one."""
    events = [(at, "says", text) for at, text in lines(server)]
    events += [(after, "end", "its process ended") for _, after in server.ends]
    for (_, halted), (woken, _) in zip(server.halts, [*server.wakes, (time.time(), 0)]):
        if woken - halted > LEASE:
            events.append((halted, "end", "its process was halted"))
    found = []
    for at, kind, text in sorted(events):
        began, ended = BEGAN.match(text), ENDED.match(text)
        acts = found and found[-1].end == float("inf")
        if kind == "says" and began:
            found.append(Period(server, at, began[2]))
        elif acts and (kind == "end" or ended):
            late = float(ended[3] or 0) / 1e3 if ended else 0
            found[-1].end, found[-1].ended = at - late, ended[2] if ended else text
    return found


def both_acted(servers):
    """Seconds for which both were active, from their logs."""
    first, second = (periods(server) for server in servers)
    now = time.time()
    together = (min(a.end, b.end, now) - max(a.begin, b.begin) for a in first for b in second)
    return sum(span for span in together if span > 0)


def nobody_acted(servers, since, until):
    """Seconds in this time for which neither was active, from their logs. The end of a process
    counts from before the signal."""
    gone = {after: before for server in servers for before, after in server.ends}
    acted = sorted((max(period.begin, since), min(gone.get(period.end, period.end), until))
                   for server in servers for period in periods(server))
    idle, at = 0.0, since
    for begin, end in acted:
        if begin > at:
            idle += begin - at
        at = max(at, end)
    return idle + max(until - at, 0.0)


def followed(agents, server, since):
    """When the last of the agents began to follow this server, or was registered again with it
    as the active one, after `since`; `since` if none had to."""
    times = [at for agent in agents for at, text in lines(agent)
             if at > since and (found := FOLLOWS.match(text))
             and server.host.address in found.groups()]
    return max(times, default=since)


def acts(page):
    """True if a server says on /ha that it is active and may act now."""
    if not page or not page["is_active"]:
        return False
    lease = max(page["lease_held_by_peer_ms"], page["lease_held_by_voters_ms"])
    return page["rests_on"] != "a lease" or lease > 0


class Witness(threading.Thread):
    """Looks at both servers until `stop`."""

    def __init__(self, servers):
        super().__init__(daemon=True)
        self.servers = servers
        self.looks = 0
        self.seen_together = []
        self._stopped = threading.Event()
        self.start()

    def run(self):
        while not self._stopped.wait(PAUSE):
            self._look()

    def _look(self):
        one, other = self.servers
        pages = [server.page("/ha", timeout=0.2) for server in (one, other, one)]
        self.looks += 1
        before, between, after = pages
        same = acts(before) and acts(after) and before["epoch"] == after["epoch"]
        if same and acts(between):
            self.seen_together.append((time.time(), pages))

    def stop(self):
        self._stopped.set()
        self.join()


class Trial:
    """A trouble, from before it begins until all is well again; a context. Afterwards it holds
    what was seen, fails if ever two were active, and reports a line for the summary."""

    def __init__(self, cluster, name, record):
        self.cluster = cluster
        self.name = name
        self._record = record

    def __enter__(self):
        self.begin = time.time()
        self._witness = Witness(self.cluster.servers)
        return self

    def __exit__(self, kind, *_):
        self._witness.stop()
        if kind is not None:
            return
        self.end = time.time()
        servers = self.cluster.servers
        self.two = both_acted(servers)
        self.none = nobody_acted(servers, self.begin, self.end)
        self.activations = [period for server in servers for period in periods(server)
                            if period.begin > self.begin]
        active = [server for server in servers if server.role() == "active"]
        self.active = active[0] if len(active) == 1 else None
        self.report()
        assert self.two == 0, self.timeline()
        assert not self._witness.seen_together, self._witness.seen_together
        assert len(active) == 1, [server.role() for server in servers]

    def report(self):
        seen = self._witness
        last = followed(self.cluster.agents, self.active, self.begin) if self.active else 0
        self._record("pair", {
            "trouble": self.name, "active": self.active and self.active.name,
            "activations": len(self.activations), "none": round(self.none, 3),
            "two": round(self.two, 3), "looks": seen.looks,
            "seen_together": len(seen.seen_together), "followed": round(last - self.begin, 3)})

    def timeline(self):
        return [period for server in self.cluster.servers for period in periods(server)]

    def assert_undisturbed(self):
        """Nobody became active, nobody stopped being it, not for a moment."""
        assert not self.activations and self.none == 0, self.timeline()
