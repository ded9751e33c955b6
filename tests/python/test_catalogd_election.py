"""Who is the active catalogd: rules C-1 to C-25."""

import time

import pytest

from behaviours import answer
from catalogds import Cluster, await_told, told
from fake_subscriber import item, topic
from statestored import eventually

LONG = 600_000


@pytest.fixture
def cluster(statestored, subscriber):
    def make(*words, ha=True, wait=LONG, **flags):
        flags.setdefault("statestore_max_missed_heartbeats", 3)
        daemon = statestored(*words, enable_catalogd_ha=str(bool(ha)).lower(),
                             catalogd_ha_preemption_wait_period_ms=wait, **flags)
        return Cluster(daemon, subscriber, ha or None)

    return make


def assert_told_who(reply, version, fake):
    assert (reply.catalogd_version, reply.catalogd_registration.address.port) == (
        version, fake.catalogd_port)


def test_without_ha_every_registration_of_the_catalogd_is_an_election(cluster):
    """C-1: version +1 and a notice each time; R-7: the reply says so too."""
    c = cluster(ha=False)
    coordinator = c.coordinator()
    assert coordinator.registered.catalogd_version is None
    one = c.catalogd("one")
    assert_told_who(one.registered, 1, one)
    await_told(coordinator, 1, one.catalogd_port)
    assert_told_who(c.register(one), 2, one)
    await_told(coordinator, 2, one.catalogd_port)
    late = c.coordinator("late")
    assert_told_who(late.registered, 2, one)


def test_without_ha_a_second_catalogd_is_refused(cluster, subscriber):
    """C-25 as built (W27): the first one stays; when it has failed the second may come (C-21)."""
    c = cluster(ha=False)
    coordinator = c.coordinator()
    one, two = c.catalogd("one"), subscriber(None, "two", "of-two")
    two.catalogd_port = 26_500
    refused = c.ask(two)
    assert refused.status.status_code == 2 and "'one'" in refused.status.error_msgs[0]
    assert refused.catalogd_registration is None and refused.catalogd_version is None  # W35
    assert c.daemon.topic("of-two") is None
    assert_told_who(c.daemon.ask(coordinator), 1, one)
    one.die()
    c.daemon.await_subscribers("coordinator")
    assert_told_who(c.register(two), 2, two)


def test_a_forced_catalogd_is_active_at_once(cluster):
    """C-2."""
    c = cluster()
    one = c.catalogd("one", force=True)
    assert_told_who(one.registered, 1, one)
    assert c.page()["active_catalogd_force_catalogd_active"] is True


def test_without_a_waiting_period_the_first_is_active_at_once(cluster):
    """C-3."""
    c = cluster(wait=0)
    one = c.catalogd("one")
    assert_told_who(one.registered, 1, one)


def test_the_first_catalogd_waits_for_a_second_and_no_longer(cluster):
    """C-4, C-5: nobody is active until the period is over; then everybody is told."""
    c = cluster(wait=LONG)
    one = c.catalogd("one")
    assert one.registered.catalogd_registration is None
    page = c.page()
    assert (page["has_active_catalogd"], page["active_catalogd_version"]) == (False, 0)
    assert c.daemon.metric("statestore.active-catalogd-address") == ""
    c = cluster(wait=1_000)
    coordinator = c.coordinator()
    start = time.monotonic()
    one = c.catalogd("one")
    await_told(coordinator, 1, one.catalogd_port)
    assert coordinator.calls("UpdateCatalogd")[0].at - start >= 0.99
    await_told(one, 1, one.catalogd_port)
    assert c.seats() == (1, one.catalogd_port, None)


@pytest.mark.parametrize("by_id", [False, True])
def test_of_two_the_lower_priority_value_leads(cluster, by_id):
    """C-8: registration ids as signed numbers, or subscriber ids as bytes."""
    flag = "use_subscriber_id_as_catalogd_priority"
    for first, second in (("b", "a"), ("a", "b")):
        c = cluster(f"--{flag}={str(by_id).lower()}")
        one, two = c.catalogd(first), c.catalogd(second)

        def value(fake):
            drawn = fake.registered.registration_id
            return fake.id.encode() if by_id else (drawn.hi, drawn.lo)

        lower, higher = sorted((one, two), key=value)
        assert c.seats() == (1, lower.catalogd_port, higher.catalogd_port)
        assert_told_who(two.registered, 1, lower)


@pytest.mark.parametrize("one_leads", [False, True])
def test_a_second_catalogd_that_is_forced_leads(cluster, one_leads):
    """C-6: over one that waits and over one that leads."""
    c = cluster(wait=0 if one_leads else LONG)
    one = c.catalogd("one")
    two = c.catalogd("two", force=True)
    version = 2 if one_leads else 1
    assert_told_who(two.registered, version, two)
    assert c.seats() == (version, two.catalogd_port, one.catalogd_port)


def test_a_second_catalogd_stands_by(cluster):
    """C-7: nothing is announced again."""
    c = cluster(wait=0)
    coordinator = c.coordinator()
    one = c.catalogd("one")
    two = c.catalogd("two")
    assert_told_who(two.registered, 1, one)
    assert c.seats() == (1, one.catalogd_port, two.catalogd_port)
    coordinator.await_calls(3, "Heartbeat", since=coordinator.mark())
    assert told(coordinator) == [(1, one.catalogd_port)]


def test_a_third_catalogd_is_refused(cluster, subscriber):
    """C-25 as built (W27)."""
    c = cluster(wait=0)
    one, two, three = c.catalogd("one"), c.catalogd("two"), subscriber(None, "three")
    three.catalogd_port = 26_500
    refused = c.ask(three, force=True)
    assert refused.status.status_code == 2 and "'one'" in refused.status.error_msgs[0]
    assert refused.catalogd_version is None
    assert c.seats() == (1, one.catalogd_port, two.catalogd_port)


def test_a_standby_that_comes_back_with_force_swaps_the_roles(cluster):
    """C-9, C-12: of two forced ones the later registration wins."""
    c = cluster(wait=0)
    one, two = c.catalogd("one", force=True), c.catalogd("two")
    assert_told_who(c.register(two, force=True), 2, two)
    assert c.seats() == (2, two.catalogd_port, one.catalogd_port)
    assert_told_who(c.register(one, force=True), 3, one)
    assert c.seats() == (3, one.catalogd_port, two.catalogd_port)


def test_coming_back_unchanged_changes_nothing(cluster):
    """C-11: active and standby alike, forced or not if it leads already."""
    c = cluster(wait=0)
    one, two = c.catalogd("one"), c.catalogd("two")
    for fake in (one, two, two, one):
        assert_told_who(c.register(fake), 1, one)
    assert c.seats() == (1, one.catalogd_port, two.catalogd_port)


def test_a_new_address_is_taken_over(cluster):
    """C-11 as built (W28): of the active one it is announced, of the standby it is not."""
    c = cluster(wait=0)
    coordinator = c.coordinator()
    one, two = c.catalogd("one"), c.catalogd("two")
    one.catalogd_port = 26_601
    assert_told_who(c.register(one), 2, one)
    await_told(coordinator, 2, 26_601)
    eventually(lambda: c.daemon.metric("statestore.active-catalogd-address") == "127.0.0.1:26601",
               "the address as a metric")
    two.catalogd_port = 26_602
    c.register(two)
    assert c.seats() == (2, 26_601, 26_602)


def test_a_failed_active_is_followed_by_its_standby(cluster):
    """C-20: one more, and everybody is told."""
    c = cluster(wait=0)
    coordinator = c.coordinator()
    one, two = c.catalogd("one"), c.catalogd("two")
    one.die()
    await_told(coordinator, 2, two.catalogd_port)
    await_told(two, 2, two.catalogd_port)
    assert c.seats() == (2, two.catalogd_port, None)
    # C-24: no flip-flop when it comes back, unless it is forced to.
    one.listen()
    assert_told_who(c.register(one), 2, two)
    assert c.seats() == (2, two.catalogd_port, one.catalogd_port)
    assert_told_who(c.register(one, force=True), 3, one)


def test_when_none_is_left_the_next_one_leads_at_once(cluster):
    """C-21: however long the waiting period is."""
    c = cluster(wait=LONG)
    coordinator = c.coordinator()
    one = c.catalogd("one", force=True)
    one.die()
    c.daemon.await_subscribers("coordinator")
    assert c.page()["has_active_catalogd"] is False
    assert c.daemon.ask(coordinator).catalogd_registration is None
    two = c.catalogd("two")
    assert_told_who(two.registered, 2, two)


def test_a_failed_standby_leaves_its_seat_and_nothing_else(cluster):
    """C-22."""
    c = cluster(wait=0)
    one, two = c.catalogd("one"), c.catalogd("two")
    two.die()
    c.daemon.await_subscribers("one")
    assert c.seats() == (1, one.catalogd_port, None)
    three = c.catalogd("three")
    assert c.seats() == (1, one.catalogd_port, three.catalogd_port)


def test_a_first_one_that_fails_before_it_leads_does_not_stop_the_clock(cluster):
    """C-23, C-3: the period runs from the first registration of all."""
    c = cluster(wait=1_500)
    start = time.monotonic()
    one = c.catalogd("one")
    one.always(answer(code=6), "Heartbeat")
    c.daemon.await_subscribers()
    version, *seats = c.seats()
    assert seats == [None, None]
    # On a machine that is busy enough the wait was over, and it led.
    assert version == 0 or time.monotonic() - start >= 1.5
    two = c.catalogd("two")
    eventually(lambda: c.seats() == (version + 1, two.catalogd_port, None), "two leads")
    assert 1.4 < time.monotonic() - start


def test_the_statestored_says_when_a_catalogd_registered(cluster):
    """wire.md 5.3: registration_time in unix milliseconds, whatever was sent; uds_address goes
    along (C-1)."""
    c = cluster(ha=False)
    before = int(time.time() * 1000)
    fake = c.catalogd("one", uds="@uds")
    seen = fake.registered.catalogd_registration
    assert before - 1 <= seen.registration_time <= time.time() * 1000 + 1
    assert seen.address.uds_address == "@uds"
    assert (seen.protocol, seen.enable_catalogd_ha) == (1, None)


def test_a_catalogd_that_stands_by_gets_no_updates_until_it_leads(cluster):
    """S-10, T-10: heartbeats only; it does not count for the lowest version either. Then all of
    the topic from the start (T-9 aside, there is something)."""
    c = cluster(wait=0)
    coordinator = c.coordinator("coordinator", None, topic("catalog-update", wants_min=True))
    one, two = c.catalogd("one", "catalog-update"), c.catalogd("two", "catalog-update")
    one.publish("catalog-update", item("k", "v"))
    coordinator.await_delta("catalog-update",
                            lambda delta: delta.min_subscriber_topic_version == 1)
    two.await_calls(5, "Heartbeat")
    assert two.calls("UpdateState") == []
    one.die()
    first = two.await_delta("catalog-update")
    assert (first.is_delta, first.from_version, len(first.topic_entries)) == (False, 0, 1)
