"""A fresh statestored for each test, and subscribers that end with it.

    def test_it(statestored, subscriber):
        daemon = statestored(statestore_max_missed_heartbeats=3)
        a = subscriber(daemon, "a", "catalog-update")

and a pair of them with agents, in a network of its own:

    def test_it(pair):
        cluster = pair(agents=5, some_flag_of_both_servers=3)
        active, standby = cluster.start()
"""

import pytest

import network
from fake_subscriber import FakeSubscriber
from pair import Cluster
from statestored import QUICK, Statestored
from witness import Trial


@pytest.fixture
def statestored(tmp_path):
    """Starts daemons: `statestored(flag=value, ...)`, with quick periods unless told otherwise.
    At the end of the test each must still live, and end in order."""
    started = []

    def start(*words, quick=True, ready=True, **flags):
        folder = tmp_path / f"statestored-{len(started)}"
        daemon = Statestored(folder, {**(QUICK if quick else {}), **flags}, words)
        started.append(daemon)
        return daemon.ready() if ready else daemon

    yield start
    problems = []
    for daemon in started:
        ended = daemon.process.poll()
        code = daemon.stop()
        if ended is None and code != 0:
            problems.append(f"exit code {code}")
        elif ended not in (None, 0):
            problems.append(f"it ended by itself with {ended}")
        if "panicked" in daemon.log():
            problems.append("it panicked")
        print(f"--- log of {daemon.folder.name}\n{daemon.log()[-6000:]}")
    assert not problems, problems


@pytest.fixture
def subscriber(statestored):  # noqa: ARG001 - so that subscribers end before their statestored
    """Makes subscribers: `subscriber(daemon, id, topic, ...)` registers one at once,
    `subscriber(None, id, topic, ...)` leaves that to the test."""
    made = []

    def make(daemon, subscriber_id, *topics, **changes):
        fake = FakeSubscriber(subscriber_id, topics)
        made.append(fake)
        if daemon is not None:
            fake.registered = daemon.register(fake, **changes)
        return fake

    yield make
    for fake in made:
        fake.stop()


@pytest.fixture(scope="session")
def network_missing():
    return network.missing()


@pytest.fixture
def pair(tmp_path, request, record_property, network_missing):
    """Makes a pair of statestoreds and agents that follow them, none of them started:
    `pair(agents=5, flag=value, ...)` with flags for the servers. `cluster.trial(name)` watches
    over a trouble. At the end of the test all that still runs must end in order."""
    if network_missing:
        pytest.skip(network_missing)
    made = []

    def make(agents=5, agent_flags=None, **flags):
        names = ["s1", "s2", *(f"a{n}" for n in range(1, agents + 1))]
        cluster = Cluster(network.Network(names), tmp_path, agents, flags, agent_flags or {})
        cluster.trial = lambda name: Trial(cluster, name, record_property)
        made.append(cluster)
        return cluster

    yield make
    problems = []
    for cluster in made:
        with cluster.network:
            problems += cluster.stop()
        for server in cluster.servers:
            print(f"--- log of {server.name}\n{server.log()[-6000:]}")
    assert not problems, problems


def pytest_terminal_summary(terminalreporter):
    """What troubles did to pairs, in seconds."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    rows = [row for report in reports if report.when == "call"
            for name, row in report.user_properties if name == "pair"]
    if not rows:
        return
    terminalreporter.section("pairs in trouble: seconds without and with two active ones, by the "
                             "logs; looks; seconds until the last subscriber followed", sep="-")
    for row in sorted(rows, key=lambda row: row["trouble"]):
        terminalreporter.line(
            f"{row['trouble']:60} {row['active']}  none {row['none']:6.3f}  two {row['two']:.3f}"
            f"  ({row['looks']} looks, {row['seen_together']} saw two)"
            f"  followed {row['followed']:.3f}")
