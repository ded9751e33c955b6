"""Publications without having been asked (wire.md section 5.6), by Python's own thrift."""

import time

import pytest

from fake_subscriber import item, topic
from statestore_idl import ttypes
from statestored import eventually

TOPIC = "impala-membership"


def publish(daemon, subscriber, sequence, *items, registration=None, **fields):
    """Publishes by a call of its own; whether it was taken in."""
    request = ttypes.TPublishRequest(
        subscriber_id=subscriber.id,
        registration_id=registration or subscriber.registered.registration_id,
        stream=0, sequence=sequence,
        topic_updates=[ttypes.TTopicDelta(
            topic_name=TOPIC, topic_entries=list(items), is_delta=True)],
        **fields)
    with daemon.client() as client:
        return client.Publish(request).status.status_code == 0


def joined(daemon, subscriber, subscriber_id):
    """One that publishes by itself, and has had its first update."""
    made = subscriber(daemon, subscriber_id, topic(TOPIC, transient=True), publishes=True)
    assert made.registered.publication_limit > 1 << 20
    made.await_calls(1, "UpdateState", TOPIC)
    return made


def test_a_publication_is_there_when_it_is_answered_and_soon_with_all(statestored, subscriber):
    daemon = statestored(statestore_priority_update_frequency_ms=60_000)
    a, b = joined(daemon, subscriber, "a"), joined(daemon, subscriber, "b")
    began = time.monotonic()
    assert publish(daemon, a, 1, item("k", "v"), item("l", "w"))
    assert daemon.topic(TOPIC)["num_entries"] == 2
    b.await_value(TOPIC, "k", "v")
    assert time.monotonic() - began < 10
    assert publish(daemon, a, 2, item("k", deleted=True))
    b.await_keys(TOPIC, "l")


def test_each_is_taken_in_once_and_none_after_a_later_one(statestored, subscriber):
    daemon = statestored()
    a, b = joined(daemon, subscriber, "a"), joined(daemon, subscriber, "b")
    assert publish(daemon, a, 5, item("k", "new"))
    assert publish(daemon, a, 5, item("k", "the same number again"))
    assert not publish(daemon, a, 4, item("k", "late"))
    wrong = ttypes.TUniqueId(hi=1, lo=2)
    assert not publish(daemon, a, 6, item("k", "stranger"), registration=wrong)
    b.await_value(TOPIC, "k", "new")
    assert daemon.topic(TOPIC)["version"] == 1


def test_a_registration_anew_ends_the_former_ones_word(statestored, subscriber):
    """S-7, W33: what it had written stays until it has written anew."""
    daemon = statestored()
    a = joined(daemon, subscriber, "a")
    former = a.registered.registration_id
    assert publish(daemon, a, 9, item("k", "v"), item("l", "v"))
    a.registered = daemon.register(a, publishes=True)
    assert not publish(daemon, a, 10, item("k", "late"), registration=former)
    assert publish(daemon, a, 1, item("k", "anew"))
    eventually(lambda: daemon.topic(TOPIC)["num_entries"] == 1, "only what it wrote anew")


@pytest.mark.parametrize("megabytes", [1, 40])
def test_a_large_one_is_whole_when_it_is_answered(statestored, subscriber, megabytes):
    daemon = statestored()
    a, b = joined(daemon, subscriber, "a"), joined(daemon, subscriber, "b")
    items = [item(f"k{i}", "v" * (1 << 20)) for i in range(megabytes)]
    assert publish(daemon, a, 1, *items)
    assert daemon.topic(TOPIC)["num_entries"] == megabytes
    b.await_keys(TOPIC, *(f"k{i}" for i in range(megabytes)))


def test_who_publishes_by_itself_is_left_alone_while_nothing_changes(statestored, subscriber):
    daemon = statestored()
    a, b = joined(daemon, subscriber, "a"), joined(daemon, subscriber, "b")
    polled = subscriber(daemon, "c", TOPIC)
    polled.await_calls(10, "UpdateState", TOPIC)
    assert len(a.calls("UpdateState", TOPIC)) < 3
    assert publish(daemon, a, 1, item("k", "v"))
    # The publisher sees it too, though nobody hurries for that.
    for each in (a, b, polled):
        each.await_value(TOPIC, "k", "v")
