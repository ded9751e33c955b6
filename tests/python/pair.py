"""Two statestoreds and their subscribers as processes, each on a host of its own.

    s1, s2      statestored --enable_statestored_ha, each other's peer
    a1 .. aN    statestore-agent, registered with both; each publishes one entry that goes with it
                and follows everybody's

Ports are the defaults: each host has all of them to itself. Limits are 2 s, periods 100 ms; the
one with the lower address, s1, has priority. What a process went through (killed, halted) is
noted with its time, so that its log can be read beside it.
"""

import http.client
import json
import os
import signal
import subprocess
import time

from statestored import BINARY, eventually

PATIENCE = 2.0
LEASE = 0.75 * PATIENCE
TOPIC = "members"
SERVICE, HA, WEB, AGENT_WEB = 24_000, 24_020, 25_010, 25_000

PERIODS = {
    "max_missed_heartbeat_request_num": 20,
    "statestore_heartbeat_frequency_ms": 100,
}
SERVER = {
    **PERIODS,
    "statestore_ha_heartbeat_monitoring_frequency_ms": 100,
    "statestore_ha_preemption_wait_period_ms": 1000,
    "statestore_update_frequency_ms": 100,
    # Longer than any cut: who is cut off stays registered, as with the reference's periods.
    "statestore_max_missed_heartbeats": 300,
    "statestore_heartbeat_tcp_timeout_seconds": 1,
    "statestore_update_tcp_timeout_seconds": 1,
}
ALWAYS = {"logtostderr": "true", "redirect_stdout_stderr": "false"}


class Daemon:
    """One process on one host, or none at the moment; its log goes on over restarts."""

    def __init__(self, program, host, web, folder, flags):
        self.program = BINARY.with_name(program)
        self.host = host
        self.name = host.name
        self.web = web
        self.folder = folder / host.name
        self.folder.mkdir(parents=True)
        self.flags = {**ALWAYS, "hostname": host.address, "webserver_port": web,
                      "log_dir": self.folder, **flags}
        self.process = None
        self.starts = 0
        # (before, after): in between the process ended, was halted, went on.
        self.ends, self.halts, self.wakes = [], [], []

    def start(self, without=(), **more):
        flags = {name: value for name, value in {**self.flags, **more}.items()
                 if name not in without}
        words = [f"--{name}={value}" for name, value in flags.items()]
        # It ends with the test's own process, however that ends.
        line = self.host.command("setpriv", "--pdeathsig", "KILL", self.program, *words)
        with open(self.folder / "stdout", "ab") as out, open(self.folder / "stderr", "ab") as err:
            self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err, env={**os.environ, "TZ": "UTC"})
        self.starts += 1
        return self

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def end(self, number=signal.SIGKILL):
        """Ends it by a signal and waits; the exit code."""
        before = time.time()
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.ends.append((before, time.time()))
        self.process = None
        return code

    def halt(self):
        """SIGSTOP, until `wake`."""
        before = time.time()
        self.process.send_signal(signal.SIGSTOP)
        eventually(lambda: self._state() == "T", f"{self.name} stands still")
        self.halts.append((before, time.time()))

    def wake(self):
        before = time.time()
        self.process.send_signal(signal.SIGCONT)
        self.wakes.append((before, time.time()))

    def _state(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(") ", 1)[1][0]

    def page(self, path, timeout=1.0):
        """A page's document, or None if there is no answer."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.web)
            connection.sock = self.host.connect(self.web, timeout)
            try:
                connection.request("GET", f"{path}?json", headers={"Connection": "close"})
                response = connection.getresponse()
                return json.loads(response.read()) if response.status == 200 else None
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return None

    def log(self):
        return (self.folder / "stderr").read_text(errors="replace")


class Server(Daemon):
    """A statestored."""

    def __init__(self, host, peer, folder, flags):
        super().__init__("statestored", host, WEB, folder, {
            **SERVER, "state_store_port": SERVICE, "enable_statestored_ha": "true",
            "state_store_ha_port": HA, "state_store_peer_host": peer.address,
            "state_store_peer_ha_port": HA,
            "use_network_address_as_statestore_priority": "true", **flags})

    def role(self):
        page = self.page("/ha")
        return page and page["role"]

    def silence(self):
        """Seconds since it heard its peer."""
        page = eventually(lambda: self.page("/ha"), f"an answer of {self.name}")
        return page["since_peer_was_heard_ms"] / 1e3

    def topic_version(self):
        page = self.page("/topics") or {"topics": []}
        found = [row["version"] for row in page["topics"] if row["topic_id"] == TOPIC]
        return found[0] if found else None


class Agent(Daemon):
    """A subscriber."""

    is_catalogd = False

    def __init__(self, host, servers, folder, flags):
        first, second = (server.host.address for server in servers)
        super().__init__("statestore-agent", host, AGENT_WEB, folder, {
            **PERIODS, "subscriber_id": host.name, "enable_statestored_ha": "true",
            "state_store_host": first, "state_store_port": SERVICE,
            "state_store_2_host": second, "state_store_2_port": SERVICE,
            "state_store_subscriber_port": 23_000,
            "statestore_subscriber_recovery_grace_period_ms": 3000,
            "publish": f"{TOPIC}:{host.name}=up", "transient": TOPIC, "follow": TOPIC, **flags})

    def become_catalogd(self):
        """Plays one of two catalogds, before it is started. The one that stands by is sent no
        topics, so neither takes part in what all publish."""
        self.is_catalogd = True
        self.flags |= {"role": "catalogd", "enable_catalogd_ha": "true"}
        for name in ("publish", "transient", "follow"):
            del self.flags[name]

    def statestores(self):
        """What it knows of each, by address; empty while it does not answer."""
        page = self.page("/statestores") or {"statestores": []}
        return {row["address"].split(":")[0]: row for row in page["statestores"]}

    def primary(self):
        """Address of whom it follows, or None."""
        found = [address for address, row in self.statestores().items()
                 if row["role"] == "primary"]
        return found[0] if len(found) == 1 else None

    def refusals(self):
        return sum(row["epoch_refusals"] for row in self.statestores().values())

    def topic_version(self):
        page = self.page("/statestores") or {"topics": []}
        found = [row["version"] for row in page["topics"] if row["topic_id"] == TOPIC]
        return found[0] if found else None

    def keys(self):
        """What it has printed of the topic, put together."""
        keys = set()
        printed = (self.folder / "stdout").read_text()
        for line in printed[:printed.rfind("\n") + 1].splitlines():
            line = json.loads(line)
            if line.get("snapshot"):
                keys.clear()
            elif line.get("deleted"):
                keys.discard(line["key"])
            else:
                keys.add(line["key"])
        return keys


class Cluster:
    """All of them. Nobody runs until started."""

    def __init__(self, network, folder, agents, server_flags, agent_flags):
        self.network = network
        hosts = network.hosts
        s1, s2 = hosts["s1"], hosts["s2"]
        self.servers = [Server(s1, s2, folder, server_flags), Server(s2, s1, folder, server_flags)]
        self.agents = [Agent(hosts[f"a{n}"], self.servers, folder, agent_flags)
                       for n in range(1, agents + 1)]

    @property
    def daemons(self):
        return [*self.servers, *self.agents]

    def start(self):
        """Starts all of them; the active and the standby, once everybody knows both."""
        for daemon in self.daemons:
            daemon.start()
        return self.await_settled()

    def named(self, *names):
        return [daemon for daemon in self.daemons if daemon.name in names]

    def await_active(self, server):
        eventually(lambda: server.role() == "active", f"{server.name} is active")

    def await_settled(self):
        """One is active, the other stands by, every subscriber may vote, follows the active one
        and has what all have published. The two: active, standby."""
        missing = []

        def asked():
            missing[:] = self._unsettled()
            return not missing

        try:
            eventually(asked, "a settled cluster", limit=60)
        except AssertionError as error:
            raise AssertionError(f"{error}: {missing}") from None
        return sorted(self.servers, key=Server.role)

    def _unsettled(self):
        """What is not as it should be."""
        pages = [server.page("/ha") or {} for server in self.servers]
        roles = [page.get("role") for page in pages]
        if sorted(map(str, roles)) != ["active", "standby"]:
            return [f"roles {roles}"]
        sizes = [page["electorate_size"] for page in pages]
        if sizes != [len(self.agents)] * 2 or not pages[0]["electorate_is_agreed"]:
            return [f"electorates {sizes}"]
        active = self.servers[roles.index("active")]
        return self.unserved(active)

    def unserved(self, active, connected=2):
        """Agents that this server does not serve, or that miss what others have published."""
        version = active.topic_version()
        agents = [agent for agent in self.agents if not agent.is_catalogd]
        everybody = {agent.name for agent in agents}
        wrong = []
        for agent in agents:
            known = agent.statestores()
            row = known.get(active.host.address)
            good = (row and row["role"] == "primary" and agent.topic_version() == version
                    and sum(it["connected"] for it in known.values()) >= connected
                    and agent.keys() == everybody)
            if not good:
                wrong.append(agent.name)
        return wrong

    def stop(self):
        """Ends all that run, in order; what was wrong with whom."""
        self.network.heal()
        running = [daemon for daemon in self.daemons if daemon.runs()]
        for daemon in running:
            daemon.process.send_signal(signal.SIGCONT)
        problems = []
        for daemon in [*self.agents, *self.servers]:
            if daemon in running:
                code = daemon.end(signal.SIGTERM)
                problems += [f"{daemon.name}: exit code {code}"] if code != 0 else []
            elif daemon.process is not None:
                problems.append(f"{daemon.name} ended by itself")
            if daemon.starts and "panicked" in daemon.log():
                problems.append(f"{daemon.name} panicked")
        return problems
