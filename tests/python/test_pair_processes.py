"""Two real statestoreds and their subscribers: killed, halted, restarted, forced, alone, made one
again. ha.md section 4 says what must happen."""

import signal
import time

import pytest

from pair import PATIENCE
from statestored import eventually
from witness import lines

pytestmark = pytest.mark.network


def test_when_the_primary_is_killed_the_standby_takes_over(pair):
    """Rules 5, 8; H-15, H-17, H-30, B-30: and the old one comes back as standby."""
    cluster = pair()
    primary, standby = cluster.start()
    with cluster.trial("primary killed (kill -9)") as trial:
        primary.end()
        cluster.await_active(standby)
        eventually(lambda: not cluster.unserved(standby, connected=1), "everybody is served")
        primary.start()
        assert cluster.await_settled() == [standby, primary]
    assert len(trial.activations) == 1, trial.timeline()
    assert trial.none < 2.5 * PATIENCE, trial.timeline()


def test_the_active_catalogd_stays_the_one_when_the_primary_dies(pair):
    """W11, N-1: each of the two statestoreds would have elected by itself."""
    cluster = pair(enable_catalogd_ha="true")
    catalogds = cluster.agents[:2]
    for agent in catalogds:
        agent.become_catalogd()

    def active():
        metric = "catalog-server.active-status"
        pages = [agent.page("/jsonmetrics") or {} for agent in catalogds]
        found = [agent for agent, page in zip(catalogds, pages) if page.get(metric) is True]
        return found[0] if len(found) == 1 else None

    primary, standby = cluster.start()
    chosen = eventually(active, "one active catalogd")
    assert address(primary) == chosen.host.address
    chosen_at = time.time()
    eventually(lambda: time.time() - standby.silence() > chosen_at, "the standby knows it")
    with cluster.trial("primary killed, with two catalogds"):
        primary.end()
        cluster.await_active(standby)
        eventually(lambda: not cluster.unserved(standby, connected=1), "everybody is served")
        assert (active(), address(standby)) == (chosen, chosen.host.address)
        primary.start()
        assert cluster.await_settled() == [standby, primary]
    assert active() == chosen


def address(server):
    """Host of the active catalogd, as the active statestored has it."""
    page = server.page("/catalog_ha_info") or {}
    return page.get("active_catalogd_address", "").rsplit(":", 1)[0]


@pytest.mark.parametrize("woken", ["at the takeover", "long after it"])
def test_a_primary_that_was_halted_says_nothing_more_when_it_wakes_up(pair, woken):
    """Rules 1, 3, 4, 7, 17; H-5f: nobody hears its old epoch, it notices at once and stands by,
    whatever the other one had asked it meanwhile."""
    cluster = pair()
    primary, standby = cluster.start()
    with cluster.trial(f"primary halted (SIGSTOP), woken {woken}") as trial:
        primary.halt()
        cluster.await_active(standby)
        if woken == "long after it":
            eventually(lambda: not cluster.unserved(standby, connected=1), "everybody is served")
            halted = primary.halts[0][1]
            eventually(lambda: time.time() > halted + 2 * PATIENCE, "every limit is over twice")
        primary.wake()
        assert cluster.await_settled() == [standby, primary]
    assert len(trial.activations) == 1, trial.timeline()
    assert [agent.refusals() for agent in cluster.agents] == [0] * 5
    noticed = [at for at, text in lines(primary) if text.startswith("No longer the active")]
    assert len(noticed) == 1 and noticed[0] > primary.wakes[0][0]


@pytest.mark.parametrize("how", ["killed", "stopped in order"])
def test_of_two_that_are_restarted_together_one_becomes_active(pair, how):
    """Rules 7, 8, 9; H-3, H-5e, W24: their subscribers have heard both, which must not keep both
    from acting."""
    cluster = pair()
    cluster.start()
    with cluster.trial(f"both {how} and started again") as trial:
        if how == "killed":
            for server in cluster.servers:
                server.end()
        else:
            for server in cluster.servers:
                server.process.send_signal(signal.SIGTERM)
            assert [server.end(signal.SIGTERM) for server in cluster.servers] == [0, 0]
        for server in cluster.servers:
            server.start()
        cluster.await_settled()
    assert len(trial.activations) <= 2 and trial.none < 5 * PATIENCE, trial.timeline()


def test_of_two_that_both_insist_one_becomes_active(pair):
    """H-5d, H-5f: whoever starts first is active, and stays it; restarted, it comes second."""
    cluster = pair(statestore_force_active="true")
    with cluster.trial("both forced"):
        cluster.start()
    primary, standby = cluster.await_settled()
    with cluster.trial("both forced, the primary killed") as trial:
        primary.end()
        cluster.await_active(standby)
        primary.start()
        assert cluster.await_settled() == [standby, primary]
    assert len(trial.activations) == 1, trial.timeline()


def test_one_alone_is_active_and_the_other_joins_it_later(pair):
    """Rule 18, H-2, H-5f: subscribers that know of two are served by the one that is there."""
    cluster = pair()
    alone, later = cluster.servers
    with cluster.trial("one alone, the other one later") as trial:
        for daemon in [alone, *cluster.agents]:
            daemon.start()
        cluster.await_active(alone)
        eventually(lambda: not cluster.unserved(alone, connected=1), "everybody is served")
        assert alone.page("/ha")["rests_on"] == "nobody else being there"
        later.start()
        assert cluster.await_settled() == [alone, later]
    assert len(trial.activations) == 1, trial.timeline()


@pytest.mark.parametrize("first", ["the statestored first", "the subscribers first"])
def test_made_one_again_it_serves_everybody(pair, first):
    """H-2: as Impala's documentation has it: one is removed, the other and all subscribers are
    restarted without the flag, in any order."""
    cluster = pair()
    removed, left = cluster.start()
    with cluster.trial(f"one removed, restarted without the flag, {first}"):
        assert removed.end(signal.SIGTERM) == 0
        cluster.await_active(left)
        eventually(lambda: not cluster.unserved(left, connected=1), "everybody is served")
    order = [left, *cluster.agents]
    for daemon in order if first == "the statestored first" else order[::-1]:
        assert daemon.end(signal.SIGTERM) == 0
        changes = {}
        if daemon is not left:
            changes = {"state_store_host": left.host.address}
            without = ("enable_statestored_ha", "state_store_2_host", "state_store_2_port")
        else:
            without = [name for name in left.flags if "peer" in name or "_ha" in name]
        daemon.start(without=without, **changes)

    def served():
        version = left.topic_version()
        return version and all(
            list(agent.statestores()) == [left.host.address] and agent.topic_version() == version
            and agent.keys() == {it.name for it in cluster.agents} for agent in cluster.agents)

    eventually(served, "everybody is served by the one")
    assert left.page("/ha") is None
