"""Who is counted as failed, when, and what follows: rules F and K, seen from outside."""

import itertools
import threading
import time

import pytest

from behaviours import (
    answer, close, cut, drip, exception, field_missing, garbage, hang, lie, no_result,
    other_method)
from fake_subscriber import item, topic
from statestored import eventually

FAILURES = {
    "an error status": answer(code=6),  # W19
    "closed": close,
    "closed in the middle": cut,
    "status missing": field_missing,
    "no result": no_result,
    "another method": other_method,
    "an exception": exception("no"),
    "garbage": garbage(b"\x80\x02 what is this"),
    "silence": hang,
    "a false length": lie,
    "a byte at a time": drip,
}


def removed(daemon, *left):
    """Waits until exactly these are left; when."""
    daemon.await_subscribers(*left)
    return time.monotonic()


@pytest.mark.parametrize("kind", FAILURES)
def test_heartbeats_that_fail_in_a_row_remove_a_subscriber_and_nobody_else(
        statestored, subscriber, kind):
    """F-1, F-2, F-4, W19, W14, K-5: exactly so many as the flag says; meanwhile the others keep
    their beat and are told of the loss."""
    daemon = statestored(statestore_max_missed_heartbeats=3,
                         statestore_heartbeat_tcp_timeout_seconds=1)
    other = subscriber(daemon, "other", "t")
    a = subscriber(daemon, "a", topic("t", transient=True))
    a.publish("t", item("a", "alive"))
    other.await_keys("t", "a")
    failed = []  # a good one may still be under way

    def fail(call, fake):
        failed.append(call)
        return FAILURES[kind](call, fake)

    others = other.mark()
    a.always(fail, "Heartbeat")
    removed(daemon, "other")
    other.await_keys("t")
    a.until(lambda: len(failed) >= 3, "three that failed")
    # K-2: what was closed before an answer is sent once more.
    assert len(failed) <= (6 if kind == "closed" else 3), len(failed)
    daemon.await_log("'a' (last registration id")
    daemon.await_log("removed after 3")
    other.await_calls(3, "Heartbeat", since=others)
    caches = ("subscriber-heartbeat", "subscriber-update-state")
    eventually(lambda: all(daemon.metric(f"{name}.client-cache.total-clients") == 1
                           for name in caches), "its connections are closed")
    if kind in ("silence", "a byte at a time"):
        assert len(other.calls("Heartbeat", since=others)) > 8


def test_a_dead_port_is_removed_after_as_many_periods(statestored, subscriber):
    """F-5 with a tenth of the defaults' period: ten failures, a period apart."""
    daemon = statestored()
    a = subscriber(daemon, "a")
    a.await_calls(1, "Heartbeat")
    start = time.monotonic()
    a.die()
    assert removed(daemon) - start > 0.9 - 0.05
    daemon.await_log("removed after 10 missed heartbeats")
    daemon.await_log("Couldn't open transport for 127.0.0.1:")  # wire.md section 6


def test_a_hung_subscriber_is_removed_after_as_many_timeouts_and_periods(statestored, subscriber):
    """F-5: 3 x (1 s + 0.1 s), less the last pause."""
    daemon = statestored(statestore_max_missed_heartbeats=3,
                         statestore_heartbeat_tcp_timeout_seconds=1)
    a = subscriber(None, "a")
    a.always(hang, "Heartbeat")
    start = time.monotonic()
    daemon.register(a)
    assert 3.2 - 0.05 < removed(daemon) - start < 20
    # K-2: a receive timeout is not retried. K-1: each failed call costs its connection.
    calls = a.calls("Heartbeat")
    assert len(calls) == 3 and len({call.connection for call in calls}) == 3
    daemon.await_log("RPC recv timed out: dest address: 127.0.0.1:")  # K-3


def test_a_listener_that_accepts_nothing_is_removed_in_time(statestored, subscriber):
    """F-5, W14: its backlog takes the connection, and nobody ever reads."""
    daemon = statestored(statestore_max_missed_heartbeats=2,
                         statestore_heartbeat_tcp_timeout_seconds=1)
    a, other = subscriber(None, "a", "t"), subscriber(daemon, "other", "t")
    a.reading = False
    other.publish("t", item("big", b"x" * (24 << 20)))
    other.await_delta("t", lambda delta: delta.from_version == 1)
    mark = other.mark()
    daemon.register(a)
    removed(daemon, "other")
    assert len(other.calls("Heartbeat", since=mark)) > 8


def test_every_second_failure_never_removes_anybody(statestored, subscriber):
    """F-6, F-2: a success resets the count."""
    daemon = statestored(statestore_max_missed_heartbeats=2, statestore_heartbeat_frequency_ms=30)
    turns = itertools.cycle([answer(code=6), answer()])
    a = subscriber(None, "a")
    a.always(lambda call, fake: next(turns)(call, fake), "Heartbeat")
    registration = daemon.register(a).registration_id
    calls = a.await_calls(40, "Heartbeat")
    assert all(call.request.registration_id == registration for call in calls)
    assert daemon.subscriber("a")
    # F-3: one of two is suspicious.
    daemon.await_log("(1 in a row, now SUSPECTED)")
    daemon.await_log("answers again after 1 missed")
    assert "FAILED" not in daemon.log()


def test_a_registration_resets_the_count(statestored, subscriber):
    """F-2: two failures, a registration, two failures: not three in a row."""
    daemon = statestored(statestore_max_missed_heartbeats=3, statestore_heartbeat_frequency_ms=400)
    a = subscriber(None, "a")
    for _ in range(3):
        a.script("Heartbeat", answer(code=6), answer(code=6))
        mark = a.mark()
        daemon.register(a)
        a.await_calls(2, "Heartbeat", since=mark)
    assert daemon.subscriber("a") and "removed" not in daemon.log()


def test_the_states_are_named_in_the_log(statestored, subscriber):
    """F-3: half of the limit, rounded down, makes a suspect."""
    daemon = statestored(statestore_max_missed_heartbeats=5)
    a = subscriber(daemon, "a")
    a.die()
    removed(daemon)
    daemon.await_log("now FAILED")
    states = [line.rsplit("now ", 1)[1].split(")")[0] for line in daemon.log().splitlines()
              if "in a row, now" in line]
    assert states == ["OK", "SUSPECTED", "SUSPECTED", "SUSPECTED", "FAILED"]


def test_a_removed_subscriber_is_forgotten_until_it_registers(statestored, subscriber):
    """F-7, F-4: no message, no row, no figure; then all of it again."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    a.always(answer(code=6), "Heartbeat")
    removed(daemon, "b")
    assert daemon.subscriber("a") is None
    assert daemon.metric("statestore.live-backends") == 1
    assert daemon.metric("statestore.live-backends.list") == ["b"]
    daemon.await_pause()  # what was under way has come
    quiet = a.mark()
    b.await_calls(5, "Heartbeat", since=b.mark())
    assert a.mark() == quiet
    a.always(answer())
    fresh = daemon.register(a).registration_id
    beat = a.await_calls(3, "Heartbeat", since=quiet)
    assert all(call.request.registration_id == fresh for call in beat)
    first = a.await_delta("t", since=quiet)
    assert (first.is_delta, first.from_version) == (False, 0)


def test_who_answered_lately_is_counted_every_period(statestored, subscriber):
    """F-8: gauge and log, of those whose last success is not older than the period."""
    daemon = statestored(heartbeat_monitoring_frequency_ms=400,
                         statestore_max_missed_heartbeats=1000)
    a, _b = subscriber(daemon, "a"), subscriber(daemon, "b")
    key = "statestore.subscribers-received-heartbeat"
    eventually(lambda: daemon.metric(key) == 2, "both")
    a.always(answer(code=6), "Heartbeat")
    eventually(lambda: daemon.metric(key) == 1, "one")
    assert daemon.metric("statestore.live-backends") == 2
    daemon.await_log("1/2 subscribers successfully heartbeat; silent: 'a'")
    daemon.await_log("2/2 subscribers successfully heartbeat")


def test_an_address_that_cannot_be_resolved_fails_alone(statestored, subscriber):
    """F-2, F-4: names, ports and hosts that are none."""
    daemon = statestored(statestore_max_missed_heartbeats=2,
                         statestore_heartbeat_tcp_timeout_seconds=1)
    good = subscriber(daemon, "good", "t")
    location = type(good.request().subscriber_location)
    for number, (host, port) in enumerate([
            ("no-such-host.invalid", 23000), ("", 23000), ("127.0.0.1", 0), ("127.0.0.1", -1),
            ("127.0.0.1", 70_000), ("127.0.0.1", 2**31 - 1), ("a b\n", 1), ("[::1", 9)]):
        daemon.ask(good, subscriber_id=f"bad-{number}", subscriber_location=location(host, port))
    mark = good.mark()
    removed(daemon, "good")
    good.await_calls(3, "Heartbeat", since=mark)
    good.await_calls(3, "UpdateState", since=mark)


def test_connections_are_kept_for_each_purpose(statestored, subscriber):
    """K-1: heartbeats on one, updates of a class on another, call after call."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t", "impala-membership")
    a.await_calls(8, "Heartbeat")
    a.await_calls(8, "UpdateState", "t")
    beats = {call.connection for call in a.calls("Heartbeat")}
    updates = {call.connection for call in a.calls("UpdateState")}
    assert len(beats) == 1 and 1 <= len(updates) <= 2 and not beats & updates


def test_a_call_that_was_on_its_way_at_the_end_leaves_no_connection(statestored, subscriber):
    """F-4, T-32: decided before the removal, made after it; K-1 keeps nothing for who is gone."""
    daemon = statestored(statestore_max_missed_heartbeats=2,
                         statestore_update_frequency_ms=1,
                         debug_actions="DO_SUBSCRIBER_UPDATE:SLEEP@300")
    a = subscriber(None, "a", "t")
    a.always(answer(code=6), "Heartbeat")
    daemon.register(a)
    a.await_calls(2, "Heartbeat")
    mark = a.mark()
    daemon.await_subscribers()
    a.await_calls(1, "UpdateState", since=mark)
    for name in ("subscriber-heartbeat", "subscriber-update-state"):
        key = f"{name}.client-cache.total-clients"
        eventually(lambda key=key: daemon.metric(key) == 0, key, 5)


def test_a_peer_that_closed_an_idle_connection_is_not_a_failure(statestored, subscriber):
    """K-2: reconnect once, send once more; nothing is missed."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    for _ in range(5):
        a.await_calls(1, "Heartbeat", since=a.mark())
        a.await_pause()
        a.hang_up()
    a.await_calls(2, "Heartbeat", since=a.mark())
    assert "in a row, now" not in daemon.log()


def test_a_request_may_come_twice(statestored, subscriber):
    """K-2: closed before the answer: the same message again on a new connection, no failure."""
    daemon = statestored()
    a = subscriber(None, "a", "t")
    a.script("UpdateState", close)
    daemon.register(a)
    first, second = a.await_calls(2, "UpdateState")
    assert first.request == second.request and first.connection != second.connection
    a.script("Heartbeat", close)
    a.await_calls(3, "Heartbeat", since=a.mark())
    assert "failed" not in daemon.log()


def test_what_is_sent_after_the_answer_harms_only_that_connection(statestored, subscriber):
    """K-1: an answer given twice is not taken for the next one."""
    daemon = statestored(statestore_max_missed_heartbeats=3)
    a = subscriber(None, "a", "t")
    twice = itertools.count()

    def doubled(call, fake):
        data = answer()(call, fake)
        return data + data if next(twice) % 2 else data

    a.always(doubled)
    daemon.register(a)
    a.publish("t", item("k", "v"))
    daemon.await_topic("t", version=1)
    a.await_calls(12, "Heartbeat", since=a.mark())
    assert daemon.subscriber("a")
    assert daemon.topic("t")["version"] == 1  # published once


def test_an_answer_that_comes_too_late_is_not_taken(statestored, subscriber):
    """K-5, T-26: after its deadline the call has failed, whatever arrives."""
    daemon = statestored(statestore_update_tcp_timeout_seconds=1)
    gate = threading.Event()
    a = subscriber(None, "a", "t")
    a.script("UpdateState", answer(after=gate))
    a.publish("t", item("late", "x"))
    daemon.register(a)
    a.await_calls(2, "UpdateState")  # given up, and sent again
    gate.set()
    a.publish("t", item("k", "v"))
    daemon.await_topic("t", version=1)
    a.await_keys("t", "k")


def test_a_healthy_answer_cut_into_pieces_is_one_answer(statestored, subscriber):
    """wire.md section 1: nothing depends on how bytes arrive."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a = subscriber(None, "a", "t")

    def pieces(call, fake):
        data = answer()(call, fake)
        return [data[at:at + 3] for at in range(0, len(data), 3)]

    a.always(pieces)
    daemon.register(a)
    a.publish("t", item("k", "v"))
    a.await_value("t", "k", "v")
    a.await_calls(5, "Heartbeat")
    assert "failed" not in daemon.log()
