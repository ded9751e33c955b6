"""Entries that go with their registration: rules T-30 to T-34, and W33."""

import threading
import time

import pytest

from behaviours import answer
from fake_subscriber import item, topic
from statestored import eventually

MEMBERS = "impala-membership"
MINE = topic("t", transient=True)


def fail(subscriber):
    """Its heartbeats are answered with an error from now on; everything else goes on (W19)."""
    subscriber.always(answer(code=6), "Heartbeat")


def written(daemon, subscriber, name, *items):
    before = daemon.topic(name)["version"]
    subscriber.publish(name, *items)
    daemon.await_topic(name, version=before + len(items))


def test_entries_of_a_failed_subscriber_go_and_others_stay(statestored, subscriber):
    """T-30, T-31, F-4: told to the others as deletions with new versions."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a = subscriber(daemon, "a", topic(MEMBERS, transient=True), "t")
    b = subscriber(daemon, "b", topic(MEMBERS, transient=True), "t")
    written(daemon, a, MEMBERS, item("host-a", "alive"))
    written(daemon, b, MEMBERS, item("host-b", "alive"))
    written(daemon, a, "t", item("kept", "v"))
    b.await_keys(MEMBERS, "host-a", "host-b")
    b.await_keys("t", "kept")
    assert daemon.subscriber("a")["num_transient"] == 1
    mark = b.mark()
    a.die()
    delta = b.await_delta(MEMBERS, lambda delta: delta.topic_entries, since=mark)
    assert (delta.is_delta, delta.from_version, delta.to_version) == (True, 2, 3)
    [entry] = delta.topic_entries
    assert (entry.key, entry.deleted) == (b"host-a", True)
    daemon.await_topic("t", num_entries=1, version=1)
    assert b.topics["t"] == {b"kept": b"v"}


def test_an_entry_that_somebody_else_wrote_over_stays(statestored, subscriber):
    """T-30: only what still has the version that this registration gave it."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a, b = subscriber(daemon, "a", MINE), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("k", "of a"), item("l", "of a"))
    written(daemon, b, "t", item("k", "of b"))
    a.die()
    b.await_keys("t", "k")
    assert b.topics["t"][b"k"] == b"of b"
    daemon.await_topic("t", version=4)


def test_the_writer_who_overwrote_takes_its_entry_along(statestored, subscriber):
    """T-30, T-24: the last transient writer is the one that counts."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a, b, c = subscriber(daemon, "a", MINE), subscriber(daemon, "b", MINE), \
        subscriber(daemon, "c", "t")
    written(daemon, a, "t", item("k", "of a"))
    written(daemon, b, "t", item("k", "of b"))
    a.die()
    daemon.await_subscribers("b", "c")
    c.await_value("t", "k", "of b")
    b.die()
    c.await_value("t", "k", None)


def test_a_deletion_of_ones_own_entry_is_final(statestored, subscriber):
    """T-33: deleting is a write like any other, and the end of its writer adds nothing seen."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a, b = subscriber(daemon, "a", MINE), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("k", "v"), item("l", "v"))
    b.await_keys("t", "k", "l")
    written(daemon, a, "t", item("k", deleted=True))
    b.await_keys("t", "l")
    mark = b.mark()
    a.die()
    b.await_keys("t")
    told = [entry.key for call in b.calls("UpdateState", "t", mark)
            for entry in call.delta("t").topic_entries]
    assert b"l" in told


def test_a_gone_entry_leaves_no_value_behind(statestored, subscriber):
    """T-34 as built (W12): the tombstone waits for the last reader without its value."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a, b = subscriber(daemon, "a", MINE), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("key", "x" * 1000))
    b.await_keys("t", "key")
    b.always(answer(skipped=True), "UpdateState")
    b.await_calls(2, "UpdateState", since=b.mark())
    a.die()
    daemon.await_topic("t", version=2, num_entries=1, key_size_bytes=3, value_size_bytes=0)
    mark = b.mark()
    b.always(answer(), "UpdateState")
    b.await_keys("t")
    [entry] = b.await_delta("t", lambda delta: delta.topic_entries, since=mark).topic_entries
    assert (entry.key, entry.value, entry.deleted) == (b"key", b"", True)
    daemon.await_topic("t", num_entries=0)


@pytest.mark.parametrize("how", ["failed", "registered again"])
def test_an_answer_after_the_end_of_its_registration_still_counts(statestored, subscriber, how):
    """T-32, S-7: its transient entries are gone at once, the others stay; whoever asks for
    everything does not see the transient ones."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    gate = threading.Event()
    reader = subscriber(daemon, "reader", "t", "u")
    late = subscriber(None, "late", MINE, "u")
    late.script("UpdateState", answer(after=gate))
    late.publish("t", item("transient", "x"), carrier="t")
    late.publish("u", item("kept", "y"), carrier="t")
    daemon.register(late)
    late.await_calls(1, "UpdateState")
    if how == "failed":
        fail(late)
        daemon.await_subscribers("reader")
    else:
        mark = late.mark()
        daemon.register(late)
        late.await_calls(2, "UpdateState", since=mark)
    gate.set()
    reader.await_keys("u", "kept")
    daemon.await_topic("t", version=2)  # written, and deleted
    assert reader.topics["t"] == {}
    newcomer = subscriber(daemon, "newcomer", "t")
    full = newcomer.await_delta("t")
    assert (full.is_delta, full.topic_entries) == (False, [])
    if how != "failed":
        assert daemon.subscriber("late")["num_transient"] == 0


def test_an_answer_may_come_after_its_topic_went(statestored, subscriber):
    """T-32, T-1 as built (W12): a topic without subscribers and entries is gone; a late
    non-transient entry is kept all the same."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    gate = threading.Event()
    late = subscriber(None, "late", "alone")
    late.script("UpdateState", answer(after=gate))
    late.publish("alone", item("kept", "y"))
    daemon.register(late)
    late.await_calls(1, "UpdateState")
    fail(late)
    daemon.await_subscribers()
    gate.set()
    daemon.await_topic("alone", num_entries=1)
    reader = subscriber(daemon, "reader", "alone")
    reader.await_keys("alone", "kept")


def test_membership_does_not_flap_when_somebody_registers_again(statestored, subscriber):
    """T-30 as built (W33): what the new registration writes again was never away."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", topic(MEMBERS, transient=True)), \
        subscriber(daemon, "b", MEMBERS)
    written(daemon, a, MEMBERS, item("host-a", "1"), item("old", "1"))
    b.await_keys(MEMBERS, "host-a", "old")
    mark = b.mark()
    heir = subscriber(None, "a", topic(MEMBERS, transient=True))  # what it writes only it writes
    heir.publish(MEMBERS, item("host-a", "2"))
    daemon.register(heir)
    b.await_value(MEMBERS, "old", None)  # not written again: gone
    b.await_value(MEMBERS, "host-a", "2")
    for call in b.calls("UpdateState", MEMBERS, mark):
        for entry in call.delta(MEMBERS).topic_entries:
            assert not (entry.key == b"host-a" and entry.deleted)


def test_the_grace_of_what_was_not_written_again_ends(statestored, subscriber):
    """W33: a new registration that never answers does not keep the old entries for ever, nor
    does registering again and again."""
    daemon = statestored(statestore_transient_grace_ms=700)
    a, b = subscriber(daemon, "a", MINE), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("k", "v"))
    b.await_keys("t", "k")
    a.always(answer(skipped=True), "UpdateState")
    start = time.monotonic()

    def gone_while_registering():
        daemon.register(a)
        return not b.topics["t"]

    eventually(gone_while_registering, "the entry is gone")
    assert time.monotonic() - start >= 0.7


def test_a_failure_within_the_grace_takes_everything(statestored, subscriber):
    """T-30, W33: what was inherited goes with the heir."""
    daemon = statestored(statestore_max_missed_heartbeats=2, statestore_transient_grace_ms=60_000)
    a, b = subscriber(daemon, "a", MINE), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("k", "v"))
    b.await_keys("t", "k")
    a.always(answer(skipped=True), "UpdateState")
    daemon.register(a)
    assert daemon.topic("t")["version"] == 1  # nothing is gone yet
    a.die()
    b.await_keys("t")


def test_without_grace_entries_go_with_the_old_registration(statestored, subscriber):
    """T-30 as the reference does it: --statestore_transient_grace_ms=0."""
    daemon = statestored(statestore_transient_grace_ms=0)
    a, b = subscriber(daemon, "a", MINE), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("k", "v"))
    b.await_keys("t", "k")
    a.always(answer(skipped=True), "UpdateState")
    daemon.register(a)
    b.await_keys("t")


def test_a_new_registration_that_is_not_transient_lets_go(statestored, subscriber):
    """T-30, T-31: what the old one wrote goes, what the new one writes stays."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a, b = subscriber(daemon, "a", MINE), subscriber(daemon, "b", "t")
    written(daemon, a, "t", item("k", "1"), item("l", "1"))
    b.await_keys("t", "k", "l")
    heir = subscriber(None, "a", "t")
    heir.publish("t", item("k", "2"))
    daemon.register(heir)
    b.await_keys("t", "k")
    heir.die()
    daemon.await_subscribers("b")
    assert daemon.topic("t")["num_entries"] == 1
    b.await_value("t", "k", "2")
