"""A network between two real statestoreds and their subscribers that loses packets in every way.

Of five subscribers two are a minority and three a majority. A cut lasts until its consequence is
there, or until every limit is over with a margin. ha.md section 4 says what must happen.
"""

import re

import pytest

from network import both_ways
from pair import PATIENCE
from statestored import eventually

pytestmark = pytest.mark.network

AGENTS = ("a1", "a2", "a3", "a4", "a5")


def one_way(one, others):
    return [(one, other) for other in others]


def other_way(one, others):
    return [(other, one) for other in others]


# The primary is s1. What is lost, by name.
TAKEN_OVER = {
    "primary cut from all": both_ways("s1", ("s2", *AGENTS)),
    "primary cut from standby and 3 of 5": both_ways("s1", ("s2", "a1", "a2", "a3")),
    "primary reaches nobody": one_way("s1", ("s2", *AGENTS)),
    "nobody reaches the primary": other_way("s1", ("s2", *AGENTS)),
}
LEFT_ALONE = {
    "primary cut from standby": both_ways("s1", ("s2",)),
    "primary cut from standby and 2 of 5": both_ways("s1", ("s2", "a1", "a2")),
    "standby cut from all": both_ways("s2", ("s1", *AGENTS)),
    "primary does not reach standby": one_way("s1", ("s2",)),
    "standby does not reach primary": one_way("s2", ("s1",)),
}
HEARD_BY_STANDBY_ONLY = {
    "primary reaches no subscriber": one_way("s1", AGENTS),
    "no subscriber reaches primary": other_way("s1", AGENTS),
}


@pytest.mark.parametrize("cut", TAKEN_OVER)
def test_a_primary_without_standby_and_majority_stops_before_the_standby_takes_over(pair, cut):
    """Rules 1, 4, 5, 17; H-15, H-17, H-20, H-30, W1: the old one stops by itself, everybody in
    reach follows the new one, and after healing the old one stands by."""
    cluster = pair()
    primary, standby = cluster.start()
    assert primary.name == "s1"
    with cluster.trial(cut) as trial:
        cluster.network.cut(TAKEN_OVER[cut])
        cluster.await_active(standby)
        eventually(lambda: primary.role() in ("recovery", "standby"), "the old one has stopped")
        eventually(lambda: not cluster.unserved(standby, connected=1), "everybody is served")
        cluster.network.heal()
        assert cluster.await_settled() == [standby, primary]
    assert len(trial.activations) == 1, trial.timeline()
    assert 0 < trial.none < 2.5 * PATIENCE, trial.timeline()


@pytest.mark.parametrize("cut", LEFT_ALONE)
def test_a_primary_that_half_of_the_subscribers_hear_stays(pair, cut):
    """Rules 1, 13; H-16, H-19, B-34, W1: no moment without an active one, and nobody changes whom
    it follows."""
    cluster = pair()
    primary, standby = cluster.start()
    with cluster.trial(cut) as trial:
        cluster.network.cut(LEFT_ALONE[cut])
        eventually(lambda: standby.silence() > 1.5 * PATIENCE, "every limit is over")
        assert [agent.primary() for agent in cluster.agents] == [primary.host.address] * 5
        reached = {a for a, b in LEFT_ALONE[cut] if b == "s1"}
        served = {agent.name for agent in cluster.agents} - reached
        eventually(lambda: not served & set(cluster.unserved(primary, connected=1)),
                   "whoever is in reach is served")
        cluster.network.heal()
        assert cluster.await_settled() == [primary, standby]
    trial.assert_undisturbed()


@pytest.mark.parametrize("cut", HEARD_BY_STANDBY_ONLY)
def test_a_primary_that_only_the_standby_hears_stays_and_the_standby_says_so(pair, cut):
    """Rule 5, H-16: both must have lost it, the standby and the majority."""
    cluster = pair()
    primary, standby = cluster.start()
    with cluster.trial(cut) as trial:
        cluster.network.cut(HEARD_BY_STANDBY_ONLY[cut])
        said = re.compile("[345] of 5 subscribers lost the active statestored, which was heard "
                          r"here \d+ ms ago: too lately for a takeover")
        eventually(lambda: said.search(standby.log()), "the standby says so")
        assert [agent.primary() for agent in cluster.agents] == [primary.host.address] * 5
        cluster.network.heal()
        assert cluster.await_settled() == [primary, standby]
    trial.assert_undisturbed()


def test_a_standby_that_restarts_out_of_contact_deposes_nobody(pair):
    """Rule 18: its new process found nobody and is alone, by name; it serves nobody who follows
    the primary, and yields once it has asked them."""
    cluster = pair()
    primary, standby = cluster.start()
    cluster.network.cut(both_ways("s1", ("s2",)))
    standby.end()
    standby.start()
    yields = re.compile("No longer the active statestored .*hear")
    eventually(lambda: yields.search(standby.log()), "the standby yields")
    assert "No longer the active statestored" not in primary.log()
    assert [agent.primary() for agent in cluster.agents] == [primary.host.address] * 5
    eventually(lambda: not cluster.unserved(primary), "everybody is with both again")
    cluster.network.heal()
    assert cluster.await_settled() == [primary, standby]
    assert "No longer the active statestored" not in primary.log()
