"""When messages are sent: rules S, and pushing. Lower bounds are strict, upper ones generous."""

import signal
import threading
import time

import pytest

from behaviours import answer, close, hang
from fake_subscriber import item, topic
from statestored import eventually

MEMBERS = "impala-membership"
QUEUE = "X-impala-request-queue"
TICK = 0.002  # what a timer's own granularity may take off a pause
NEVER = 600_000  # milliseconds


def pauses(calls):
    """From each answer to the next request, in seconds."""
    return [later.at - sooner.answered for sooner, later in zip(calls, calls[1:], strict=False)]


def test_the_priority_topics_are_told_by_the_end_of_their_names(statestored, subscriber):
    """S-1."""
    daemon = statestored()
    names = {MEMBERS: True, "impala-request-queue": True, f"cluster-1-{MEMBERS}": True,
             QUEUE: True, f"{MEMBERS}-2": False, "catalog-update": False, "membership": False}
    a = subscriber(daemon, "a", *names)
    shown = {row["topic_id"]: row["prioritized"] for row in daemon.json("/topics")["topics"]}
    assert shown == names
    assert daemon.subscriber("a")["num_priority_topics"] == 4
    for call in a.await_calls(6, "UpdateState"):
        sent = set(call.request.topic_deltas)
        # S-2: all of one class and none of the other.
        assert sent in ({n for n in names if names[n]}, {n for n in names if not names[n]})


def test_no_topic_of_a_class_means_no_message_of_it(statestored, subscriber):
    """S-2."""
    daemon = statestored()
    none, normal = subscriber(daemon, "none"), subscriber(daemon, "normal", "t")
    normal.await_calls(5, "UpdateState")
    none.await_calls(5, "Heartbeat")
    assert none.calls("UpdateState") == []
    assert normal.calls("UpdateState", MEMBERS) == []


def test_the_first_message_of_each_stream_comes_at_once(statestored, subscriber):
    """S-4: however long the periods are."""
    daemon = statestored(statestore_heartbeat_frequency_ms=NEVER,
                         statestore_update_frequency_ms=NEVER,
                         statestore_priority_update_frequency_ms=NEVER)
    a = subscriber(daemon, "a", "t", MEMBERS)
    for method, name in (("Heartbeat", None), ("UpdateState", "t"), ("UpdateState", MEMBERS)):
        a.await_calls(1, method, name)
    daemon.register(a)
    for method, name in (("Heartbeat", None), ("UpdateState", "t"), ("UpdateState", MEMBERS)):
        a.await_calls(2, method, name)


def test_one_message_a_stream_is_under_way_and_streams_are_independent(statestored, subscriber):
    """S-3, S-2: while a normal update waits, heartbeats and priority updates go on."""
    daemon = statestored()
    gate = threading.Event()
    a = subscriber(None, "a", "t", MEMBERS)
    a.script("UpdateState", answer(after=gate), topic="t")
    daemon.register(a)
    a.await_calls(1, "UpdateState", "t")
    mark = a.mark()
    a.await_calls(5, "Heartbeat", since=mark)
    a.await_calls(5, "UpdateState", MEMBERS, since=mark)
    assert len(a.calls("UpdateState", "t")) == 1
    gate.set()
    a.await_calls(3, "UpdateState", "t")


@pytest.mark.parametrize("name", ["t", MEMBERS])
@pytest.mark.parametrize(("behaviour", "periods"),
                         [(answer(), 1), (answer(skipped=True), 2), (answer(code=6), 1),
                          (close, 1)], ids=["done", "skipped", "error", "failed"])
def test_the_next_update_comes_a_period_after_the_last_ended(
        statestored, subscriber, name, behaviour, periods):
    """S-5: two periods after a skipped one. The classical cadence, without pushing."""
    daemon = statestored("--nostatestore_push_on_change", statestore_update_frequency_ms=250,
                         statestore_priority_update_frequency_ms=250)
    a = subscriber(None, "a", name)
    a.always(behaviour, "UpdateState")
    daemon.register(a)
    calls = a.await_calls(5, "UpdateState")
    if behaviour is close:  # K-2: each is sent twice
        pairs = pauses(a.await_calls(6, "UpdateState"))
        assert all(pause >= 0.25 - TICK for pause in pairs[1::2])
    else:
        assert all(pause >= 0.25 * periods - TICK for pause in pauses(calls)), pauses(calls)


@pytest.mark.parametrize("behaviour", [answer(), answer(code=6)], ids=["done", "error"])
def test_the_next_heartbeat_comes_a_period_after_the_last_ended(
        statestored, subscriber, behaviour):
    """S-5: also when it failed."""
    daemon = statestored(statestore_heartbeat_frequency_ms=250)
    a = subscriber(None, "a")
    a.always(behaviour, "Heartbeat")
    daemon.register(a)
    assert all(pause >= 0.25 - TICK for pause in pauses(a.await_calls(5, "Heartbeat")))


def test_the_three_periods_are_three_flags(statestored, subscriber):
    """S-5, S-2: counted, not timed: the fastest stream has by far the most messages."""
    daemon = statestored(statestore_heartbeat_frequency_ms=300,
                         statestore_update_frequency_ms=900,
                         statestore_priority_update_frequency_ms=30)
    a = subscriber(daemon, "a", "t", MEMBERS)
    a.await_calls(4, "UpdateState", "t")
    beats, quick = len(a.calls("Heartbeat")), len(a.calls("UpdateState", MEMBERS))
    assert beats > 4 and quick > 2 * beats, (beats, quick)


def test_hung_subscribers_do_not_stretch_the_periods_of_others(statestored, subscriber):
    """S-6 as built (W14): thirty of them, thrice the reference's workers, and one who answers."""
    daemon = statestored(statestore_num_heartbeat_threads=1, statestore_num_update_threads=1,
                         statestore_num_priority_update_threads=1)
    for number in range(30):
        hung = subscriber(None, f"hung-{number}", "t", MEMBERS)
        hung.always(hang)
        daemon.register(hung)
    a = subscriber(daemon, "a", "t", MEMBERS)
    a.await_calls(15, "Heartbeat", limit=10)
    a.await_calls(15, "UpdateState", "t", limit=10)
    a.await_calls(15, "UpdateState", MEMBERS, limit=10)
    assert daemon.metric("statestore.live-backends") == 31  # none of the hung ones is gone yet


def test_an_ended_registration_gets_no_more_messages(statestored, subscriber):
    """S-7, S-3: on no stream, whether replaced or removed; after what was under way."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    old, new = subscriber(daemon, "a", "t", MEMBERS), subscriber(None, "a", "t", MEMBERS)
    daemon.register(new)
    daemon.await_pause()
    quiet = old.mark()
    seen = new.mark()
    new.await_calls(10, "UpdateState", MEMBERS, since=seen)
    new.await_calls(5, "UpdateState", "t", since=seen)
    assert len(old.log) == quiet
    new.always(answer(code=6), "Heartbeat")
    daemon.await_subscribers()
    other = subscriber(daemon, "b", "t")
    daemon.await_pause()
    quiet = new.mark()
    other.await_calls(10, "UpdateState", since=other.mark())
    assert len(new.log) == quiet


def test_a_late_heartbeat_is_warned_of(statestored, subscriber):
    """S-8: the process stood still for more than two seconds (W17: by a monotonic clock)."""
    daemon = statestored(statestore_heartbeat_frequency_ms=500)
    a = subscriber(daemon, "a")
    a.await_calls(2, "Heartbeat")
    mark = a.mark()
    # In the pause between two heartbeats, when nothing is under way.
    eventually(lambda: 0.1 < time.monotonic() - (a.log[-1].answered or 0) < 0.4, "a pause")
    daemon.signal(signal.SIGSTOP)
    threading.Event().wait(3)
    daemon.signal(signal.SIGCONT)
    daemon.await_log("Heartbeat to subscriber 'a' was sent ")
    late = [line for line in daemon.log().splitlines() if "ms late" in line]
    assert late[0].startswith("W") and "--statestore_heartbeat_frequency_ms" in late[0]
    a.await_calls(2, "Heartbeat", since=mark)


def test_failing_updates_remove_nobody(statestored, subscriber):
    """S-9: only heartbeats count."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a = subscriber(None, "a", "t", MEMBERS)
    a.always(answer(code=6), "UpdateState")
    daemon.register(a)
    a.await_calls(12, "UpdateState", "t")
    a.await_calls(12, "UpdateState", MEMBERS)
    assert daemon.subscriber("a") and "removed" not in daemon.log()


def test_a_change_is_pushed_long_before_the_period_is_over(statestored, subscriber):
    """--statestore_push_on_change, within S-3 and T-7: at once to who sees it, to nobody else."""
    daemon = statestored(statestore_update_frequency_ms=NEVER)
    reader = subscriber(daemon, "reader", "t")
    hidden = subscriber(daemon, "hidden", topic("t", prefix="1:"))
    elsewhere = subscriber(daemon, "elsewhere", "u")
    writer = subscriber(daemon, "writer", "t", MEMBERS)
    for fake in (reader, hidden, elsewhere, writer):
        fake.await_calls(1, "UpdateState")
    for number in range(3):
        writer.publish("t", item("2:k", str(number)), carrier=MEMBERS)
        reader.await_value("t", "2:k", str(number))
    assert len(hidden.calls("UpdateState")) == len(elsewhere.calls("UpdateState")) == 1
    writer.publish("t", item("1:k", "x"), carrier=MEMBERS)
    hidden.await_keys("t", "1:k")


def test_a_burst_of_changes_is_gathered(statestored, subscriber):
    """--statestore_push_coalesce_ms: a subscriber gets no two changes closer than this."""
    daemon = statestored(statestore_update_frequency_ms=NEVER, statestore_push_coalesce_ms=200,
                         statestore_priority_update_frequency_ms=10)
    reader = subscriber(daemon, "reader", "t")
    reader.await_calls(1, "UpdateState")
    writer = subscriber(daemon, "writer", MEMBERS)
    for number in range(20):
        writer.publish("t", item("k", str(number)), carrier=MEMBERS)
        writer.await_calls(1, "UpdateState", since=writer.mark())
    daemon.await_topic("t", version=20)
    mark = reader.mark()
    reader.await_value("t", "k", "19")
    # Gathered, however long the writer took: one is under way, and the next one tells the rest.
    assert len(reader.calls("UpdateState", since=mark)) <= 2
    first, *changes = reader.calls("UpdateState")
    assert not first.delta("t").topic_entries, "it told nothing, so nothing waits"
    assert all(pause >= 0.2 - TICK for pause in pauses(changes)), pauses(changes)


def test_without_pushing_a_change_waits_for_its_period(statestored, subscriber):
    """S-5, --statestore_push_on_change=false: constant changes shorten no pause."""
    daemon = statestored("--statestore_push_on_change=false", statestore_update_frequency_ms=400,
                         statestore_priority_update_frequency_ms=10)
    reader = subscriber(daemon, "reader", "t")
    writer = subscriber(daemon, "writer", MEMBERS)

    def enough():
        writer.publish("t", item("k", str(writer.mark())), carrier=MEMBERS)
        return len(reader.calls("UpdateState")) >= 5

    eventually(enough, "five updates")
    assert all(pause >= 0.4 - TICK for pause in pauses(reader.calls("UpdateState")))


def test_a_subscriber_that_skips_is_not_hurried(statestored, subscriber):
    """S-5, T-26: changes do not shorten its two periods."""
    daemon = statestored(statestore_update_frequency_ms=250,
                         statestore_priority_update_frequency_ms=10)
    reader = subscriber(None, "reader", "t")
    reader.always(answer(skipped=True), "UpdateState")
    daemon.register(reader)
    writer = subscriber(daemon, "writer", MEMBERS)

    def enough():
        writer.publish("t", item("k", str(writer.mark())), carrier=MEMBERS)
        return len(reader.calls("UpdateState")) >= 4

    eventually(enough, "four updates")
    assert all(pause >= 0.5 - TICK for pause in pauses(reader.calls("UpdateState")))
