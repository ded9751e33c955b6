"""Who is told of the active catalogd, and how often: rules N-1 to N-7."""

import re

import pytest

from behaviours import answer, close, exception, field_missing, hang
from catalogds import Cluster, await_told, told
from statestored import eventually, text_of

GOOD = "statestore.num-successful-update-catalogd-rpc"
BAD = "statestore.num-failed-update-catalogd-rpc"


@pytest.fixture
def cluster(statestored, subscriber):
    def make(*words, **flags):
        daemon = statestored(*words, enable_catalogd_ha="true",
                             catalogd_ha_preemption_wait_period_ms=0, **flags)
        return Cluster(daemon, subscriber, True)

    return make


def await_counters(daemon, good, bad):
    eventually(lambda: (daemon.metric(GOOD), daemon.metric(BAD)) == (good, bad),
               f"{good} notices delivered, {bad} failed")


def test_those_who_asked_are_told_and_nobody_else(cluster, subscriber):
    """N-1, N-2: one call to each subscriber with subscribe_catalogd_change."""
    c = cluster()
    asked, other = c.coordinator("asked"), subscriber(c.daemon, "other")
    one = c.catalogd("one", wants=False)
    [call] = asked.await_calls(1, "UpdateCatalogd")
    assert call.request.registration_id == asked.registered.registration_id
    assert call.request.statestore_id == asked.registered.statestore_id
    assert (call.request.protocol_version, call.request.catalogd_version) == (1, 1)
    assert call.request.catalogd_registration == one.registered.catalogd_registration
    await_counters(c.daemon, 1, 0)
    address = f"127.0.0.1:{one.catalogd_port}"
    assert c.daemon.metric("statestore.active-catalogd-address") == address
    asked.await_calls(3, "Heartbeat", since=asked.mark())
    assert len(told(asked)) == 1 and told(other) == told(one) == []


@pytest.mark.parametrize("failure", [exception("no"), field_missing, hang],
                         ids=["exception", "field missing", "silence"])
def test_a_notice_that_failed_is_sent_again(cluster, failure):
    """N-3: counted as failed, then as delivered."""
    c = cluster(statestore_update_catalogd_tcp_timeout_seconds=1)
    coordinator = c.coordinator()
    coordinator.script("UpdateCatalogd", failure, failure)
    one = c.catalogd("one", wants=False)
    coordinator.await_calls(3, "UpdateCatalogd")
    await_counters(c.daemon, 1, 2)
    assert set(told(coordinator)) == {(1, one.catalogd_port)}
    said = re.compile(r"^E.*'coordinator'.* could not be told", re.MULTILINE)
    eventually(lambda: said.search(c.daemon.log()), "the failure in the log")


def test_a_skipped_notice_is_sent_again_and_not_counted(cluster):
    """N-3, N-4: a pause apart."""
    c = cluster(update_catalogd_rpc_resend_interval_ms=150)
    coordinator = c.coordinator()
    coordinator.script("UpdateCatalogd", *[answer(skipped=True)] * 3)
    c.catalogd("one", wants=False)
    calls = coordinator.await_calls(4, "UpdateCatalogd")
    await_counters(c.daemon, 1, 0)
    for sooner, later in zip(calls, calls[1:], strict=False):
        assert later.at - sooner.answered >= 0.148


def test_the_status_of_the_answer_is_not_looked_at(cluster):
    """N-3."""
    c = cluster()
    coordinator = c.coordinator("coordinator", answer(code=6))
    c.catalogd("one", wants=False)
    await_counters(c.daemon, 1, 0)
    coordinator.await_calls(3, "Heartbeat", since=coordinator.mark())
    assert len(told(coordinator)) == 1


def test_a_receiver_that_is_gone_is_dropped(cluster):
    """N-4: nothing goes to it any more, and it holds up nobody."""
    c = cluster(statestore_max_missed_heartbeats=2)
    coordinator = c.coordinator("coordinator", answer(skipped=True))
    one = c.catalogd("one", wants=False)
    coordinator.await_calls(3, "UpdateCatalogd")
    coordinator.always(answer(code=6), "Heartbeat")
    c.daemon.await_subscribers("one")
    one.await_calls(2, "Heartbeat", since=one.mark())  # what was under way has come
    quiet = coordinator.mark()
    two = c.catalogd("two", force=True)
    await_told(two, 2, two.catalogd_port)
    one.await_calls(2, "Heartbeat", since=one.mark())
    assert told(coordinator, since=quiet) == []


def test_a_newer_election_replaces_the_older_news(cluster):
    """N-4: who has not heard of the first hears of the second only."""
    c = cluster()
    coordinator = c.coordinator("coordinator", answer(skipped=True))
    c.catalogd("one", wants=False)
    coordinator.await_calls(2, "UpdateCatalogd")
    two = c.catalogd("two", force=True, wants=False)
    await_told(coordinator, 2, two.catalogd_port)
    mark = coordinator.mark()
    coordinator.await_calls(3, "UpdateCatalogd", since=mark)
    assert {version for version, _ in told(coordinator, since=mark)} == {2}


def test_who_comes_later_learns_it_from_the_reply(cluster):
    """N-5, N-7, R-7: and is shown as knowing it."""
    c = cluster()
    one = c.catalogd("one", wants=False)
    late = c.coordinator("late")
    assert late.registered.catalogd_version == 1
    assert late.registered.catalogd_registration.address.port == one.catalogd_port
    [row] = c.page()["notified_subscribers"]
    assert (row["id"], row["catalogd_version"]) == ("late", 1)
    late.await_calls(5, "Heartbeat")
    assert told(late) == []


def test_the_page_shows_who_knows_what(cluster):
    """N-7: after a successful call; not after skipped ones."""
    c = cluster()
    knows, skips = c.coordinator("knows"), c.coordinator("skips", answer(skipped=True))
    one = c.catalogd("one", wants=False)
    address = f"127.0.0.1:{one.catalogd_port}"
    skips.await_calls(2, "UpdateCatalogd")
    await_counters(c.daemon, 1, 0)
    rows = {row["id"]: row for row in c.page()["notified_subscribers"]}
    assert set(rows) == {"knows", "skips"}
    assert (rows["knows"]["catalogd_version"], rows["knows"]["catalogd_address"]) == (1, address)
    assert rows["knows"]["registration_id"] == text_of(knows.registered.registration_id)
    assert rows["skips"]["catalogd_version"] == 0
    when = rows["knows"]["last_subscriber_update_catalogd_time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", when)


def test_a_receiver_that_registered_again_is_told_under_its_new_id(cluster):
    """N-4 as built (W21): not for ever under the old one."""
    c = cluster()
    coordinator = c.coordinator("coordinator", answer(skipped=True))
    c.catalogd("one", wants=False)
    coordinator.await_calls(2, "UpdateCatalogd")
    fresh = c.daemon.register(coordinator, subscribe_catalogd_change=True).registration_id
    mark = coordinator.mark()
    calls = coordinator.await_calls(4, "UpdateCatalogd", since=mark)
    assert all(call.request.registration_id == fresh for call in calls[1:])


def test_silent_receivers_delay_nobody(cluster):
    """N-1 as built (W22): all are told at once."""
    c = cluster(statestore_update_catalogd_tcp_timeout_seconds=20,
                statestore_max_missed_heartbeats=1000)
    for number in range(10):
        c.coordinator(f"a-{number}", hang)
    last = c.coordinator("z")
    c.catalogd("one", wants=False)
    last.await_calls(1, "UpdateCatalogd", limit=10)
    await_counters(c.daemon, 1, 0)


def test_a_closed_connection_is_tried_once_more_at_once(cluster):
    """K-2, N-3: no failure is counted."""
    c = cluster()
    coordinator = c.coordinator()
    coordinator.script("UpdateCatalogd", close)
    c.catalogd("one", wants=False)
    coordinator.await_calls(2, "UpdateCatalogd")
    await_counters(c.daemon, 1, 0)


def test_everybody_ends_up_with_the_last_of_many_elections(cluster):
    """N-2, N-4, C-9: thirty swaps in a row."""
    c = cluster()
    coordinators = [c.coordinator(f"c-{number}") for number in range(5)]
    pair = [c.catalogd("one", wants=False), c.catalogd("two", wants=False)]
    for turn in range(30):
        c.register(pair[(turn + 1) % 2], force=True, wants=False)
    leader = pair[0]
    for fake in coordinators:
        await_told(fake, 31, leader.catalogd_port)
        versions = [version for version, _ in told(fake)]
        assert versions == sorted(versions)
    assert c.seats() == (31, leader.catalogd_port, pair[1].catalogd_port)
