"""What an answer to UpdateState changes: rules T-20 to T-27."""

import pytest

from behaviours import (
    answer, close, crowd, cut, exception, field_missing, garbage, lie, no_result, other_method)
from fake_subscriber import item, topic
from statestored import eventually

CLEARS = "statestore.num-clear-topic-entries-requests"

REJECTIONS = {
    "skipped": answer(skipped=True),
    "an error": answer(code=6),
    "closed": close,
    "closed in the middle": cut,
    "no topic_updates": field_missing,
    "no result": no_result,
    "another method": other_method,
    "a false length": lie,
    "a false count": crowd,
    "garbage": garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "exception": exception("no such thing"),
}


def written(daemon, subscriber, name, *items):
    """Publishes and waits until it is in the topic."""
    before = (daemon.topic(name) or {"version": 0})["version"]
    subscriber.publish(name, *items)
    daemon.await_topic(name, version=before + len(items))


@pytest.mark.parametrize("kind", REJECTIONS)
def test_a_message_that_was_not_processed_is_sent_again(statestored, subscriber, kind):
    """T-26, S-9: the first one again as a full one, a later one again as the same or a longer
    delta; the heartbeats go on."""
    daemon = statestored(statestore_update_tcp_timeout_seconds=1)
    w = subscriber(daemon, "w", "t")
    written(daemon, w, "t", item("k", "1"))
    a = subscriber(None, "a", "t")
    a.script("UpdateState", REJECTIONS[kind], REJECTIONS[kind])
    daemon.register(a)
    first = [call.delta("t") for call in a.await_calls(3, "UpdateState", "t")]
    assert {(delta.is_delta, delta.from_version) for delta in first} == {(False, 0)}
    a.await_value("t", "k", "1")
    a.script("UpdateState", REJECTIONS[kind])
    mark = a.mark()
    written(daemon, w, "t", item("l", "2"))
    a.await_delta("t", lambda delta: delta.to_version == 2, since=mark)
    a.await_value("t", "l", "2")
    again = a.await_delta("t", lambda delta: delta.from_version == 1 and delta.to_version == 2,
                          since=mark)
    assert (again.is_delta, [entry.key for entry in again.topic_entries]) == (True, [b"l"])
    assert daemon.subscriber("a")


@pytest.mark.parametrize("rejection", [answer(skipped=True), answer(code=6)])
def test_nothing_of_a_rejection_is_published(statestored, subscriber, rejection):
    """T-26: entries, clears and base resets of such a reply do not apply either."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    written(daemon, a, "t", item("k", "1"))
    a.script("UpdateState", rejection)
    a.publish("t", item("lost", "x"), clear_topic_entries=True)
    # Whatever comes after it is applied.
    a.await_calls(2, "UpdateState", since=a.mark())
    written(daemon, a, "t", item("l", "2"))
    assert daemon.topic("t")["version"] == 2
    assert daemon.metric(CLEARS) == 0
    a.await_keys("t", "k", "l")


def test_a_base_that_the_subscriber_asks_for_is_taken(statestored, subscriber):
    """T-22: 0 means all of it again, a known version means from there."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    written(daemon, a, "t", item("k", "1"), item("l", "2"), item("m", "3"))
    a.await_keys("t", "k", "l", "m")
    mark = a.mark()
    a.publish("t", from_version=0)
    full = a.await_delta("t", lambda delta: not delta.is_delta, since=mark)
    assert (full.from_version, len(full.topic_entries)) == (0, 3)
    mark = a.mark()
    a.publish("t", from_version=2)
    part = a.await_delta("t", lambda delta: delta.from_version == 2, since=mark)
    assert (part.is_delta, [entry.key for entry in part.topic_entries]) == (True, [b"m"])


@pytest.mark.parametrize("version", [-1, -(2**63), 1_000, 2**63 - 1])
def test_a_base_that_never_was_gives_the_whole_topic(statestored, subscriber, version):
    """T-22: nothing is believed about versions that the topic never had."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    written(daemon, a, "t", item("k", "1"))
    a.await_keys("t", "k")
    mark = a.mark()
    a.publish("t", from_version=version)
    full = a.await_delta("t", lambda delta: delta.topic_entries, since=mark)
    assert (full.is_delta, full.from_version, full.to_version) == (False, 0, 1)


def test_a_clear_drops_what_was_and_keeps_the_counter(statestored, subscriber):
    """T-23: then the same delta's items are written; T-12 sizes fall; the metric counts."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    written(daemon, a, "t", item("k", "1234"), item("l", "5678"))
    a.publish("t", item("m", "9"), clear_topic_entries=True)
    row = daemon.await_topic("t", version=3)
    assert (row["num_entries"], row["key_size_bytes"], row["value_size_bytes"]) == (1, 1, 1)
    assert daemon.metric("statestore.total-topic-size-bytes") == 2
    assert daemon.metric(CLEARS) == 1


@pytest.mark.parametrize("items", [[item("m", "9")], []])
def test_a_clear_reaches_every_subscriber(statestored, subscriber, items):
    """T-25 as built (W13): the whole topic once, empty or not, so no mirror keeps old keys."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("k", "1"), item("l", "2"))
    b.await_keys("t", "k", "l")
    mark = b.mark()
    a.publish("t", *items, clear_topic_entries=True)
    keys = [entry.key for entry in items]
    b.await_keys("t", *keys)
    full = b.await_delta("t", lambda delta: not delta.is_delta, since=mark)
    assert [entry.key for entry in full.topic_entries] == keys
    a.await_keys("t", *keys)
    written(daemon, a, "t", item("n", "3"))
    b.await_keys("t", *keys, "n")


def test_of_a_published_delta_only_items_clear_and_base_are_read(statestored, subscriber):
    """T-24: is_delta, to_version and the lowest version mean nothing in a reply."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    a.publish("t", item("k", "1"), is_delta=True, to_version=77,
              min_subscriber_topic_version=99)
    daemon.await_topic("t", version=1)
    a.publish("t", item("l", "2"), is_delta=False, to_version=-5)
    daemon.await_topic("t", version=2, num_entries=2)
    a.await_keys("t", "k", "l")


def test_deltas_of_one_answer_are_applied_in_order(statestored, subscriber):
    """T-21: an unknown topic between them is ignored without an error."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t", "u")
    a.publish("t", item("k", "1"), carrier="t")
    a.publish("never-heard-of", item("x", "y"), carrier="t")
    a.publish("u", item("k", "2"), carrier="t")
    a.publish("t", item("k", "3"), item("l", "4"), carrier="t")
    daemon.await_topic("t", version=3, num_entries=2)
    daemon.await_topic("u", version=1)
    assert daemon.topic("never-heard-of") is None
    a.await_value("t", "k", "3")
    assert daemon.subscriber("a")["num_topics"] == 2


def test_entries_for_a_topic_of_others_are_written_and_not_owned(statestored, subscriber):
    """T-27, W25: non-transient whatever the writer is, and its from_version is ignored."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    b = subscriber(daemon, "b", "theirs")
    a = subscriber(daemon, "a", topic("mine", transient=True))
    written(daemon, b, "theirs", item("x", "0"))
    b.await_keys("theirs", "x")
    mark = b.mark()
    a.publish("theirs", item("k", "1"), carrier="mine", from_version=0)
    b.await_keys("theirs", "x", "k")
    assert all(call.delta("theirs").is_delta for call in b.calls("UpdateState", since=mark))
    assert daemon.subscriber("a")["num_transient"] == 0
    a.die()
    daemon.await_subscribers("b")
    assert daemon.topic("theirs")["num_entries"] == 2
    b.await_keys("theirs", "x", "k")


def test_one_answer_may_publish_thousands_of_entries(statestored, subscriber):
    """T-24, T-20: all of them take versions, and the next delta has them all."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    a.publish("t", *(item(f"key-{n}", f"value-{n}") for n in range(20_000)))
    daemon.await_topic("t", version=20_000, num_entries=20_000)
    eventually(lambda: len(b.topics["t"]) == 20_000, "all of them")
    assert b.topics["t"][b"key-19999"] == b"value-19999"
