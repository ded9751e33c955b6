"""A fresh statestored for each test, and subscribers that end with it.

    def test_it(statestored, subscriber):
        daemon = statestored(statestore_max_missed_heartbeats=3)
        a = subscriber(daemon, "a", "catalog-update")
"""

import pytest

from fake_subscriber import FakeSubscriber
from statestored import QUICK, Statestored


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
