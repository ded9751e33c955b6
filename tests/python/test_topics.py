"""What topics are and what is sent of them: rules T-1 to T-12, seen by subscribers."""

from behaviours import answer
from fake_subscriber import item, topic
from statestored import eventually


def keys_of(delta):
    return [entry.key for entry in delta.topic_entries]


def published(daemon, subscriber, name, *items, **fields):
    """Publishes and waits until the topic's counter has gone as far as it must."""
    before = (daemon.topic(name) or {"version": 0})["version"]
    subscriber.publish(name, *items, **fields)
    daemon.await_topic(name, version=before + len(items))


def test_an_empty_topic_is_sent_as_zero_to_zero_until_something_is_written(
        statestored, subscriber):
    """T-9, T-8, T-5: catalogds take (0, 0) as the sign of a fresh statestored."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    for call in a.await_calls(3, "UpdateState", "t"):
        delta = call.delta("t")
        assert (delta.is_delta, delta.from_version, delta.to_version) == (False, 0, 0)
        assert delta.topic_entries == []
    a.publish("t", item("k", "v"))
    delta = a.await_delta("t", lambda delta: delta.to_version == 1)
    assert (delta.is_delta, delta.from_version, keys_of(delta)) == (False, 0, [b"k"])


def test_every_item_written_takes_the_next_version_in_its_order(statestored, subscriber):
    """T-2, T-6: new, changed, unchanged and deleted items alike, in the order of the list."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    published(daemon, a, "t", item("z", "1"), item("a", "2"), item("z", "3"), item("a", "2"))
    mark = b.mark()
    published(daemon, a, "t", item("m", "x"), item("a", deleted=True), item("m", "y"))
    assert daemon.topic("t")["version"] == 7
    b.until(lambda: b.calls("UpdateState", "t", mark)[-1:]
            and b.calls("UpdateState", "t", mark)[-1].delta("t").to_version == 7, "version 7")
    # T-3: a key has one row, the latest.
    steps = [call.delta("t") for call in b.calls("UpdateState", "t", mark)]
    changes = [delta for delta in steps if delta.topic_entries and delta.from_version >= 4]
    if len(changes) == 1:
        assert keys_of(changes[0]) == [b"a", b"m"]
    b.await_keys("t", "z", "m")
    assert (b.topics["t"][b"z"], b.topics["t"][b"m"]) == (b"3", b"y")


def test_topics_have_counters_of_their_own(statestored, subscriber):
    """T-2, T-1: created by the first registration that names them."""
    daemon = statestored()
    a = subscriber(daemon, "a", "one", "two")
    assert daemon.topic("one")["version"] == daemon.topic("two")["version"] == 0
    assert daemon.topic("three") is None
    published(daemon, a, "one", item("k"), item("l"))
    published(daemon, a, "two", item("k"))
    assert (daemon.topic("one")["version"], daemon.topic("two")["version"]) == (2, 1)


def test_a_topic_outlives_its_subscribers(statestored, subscriber):
    """T-1, T-31: what is not transient stays, with its version."""
    daemon = statestored(statestore_max_missed_heartbeats=2)
    a = subscriber(daemon, "a", "t")
    published(daemon, a, "t", item("k", "v"))
    a.die()
    daemon.await_subscribers()
    assert daemon.topic("t")["version"] == 1
    b = subscriber(daemon, "b", "t")
    delta = b.await_delta("t")
    assert (delta.is_delta, delta.from_version, delta.to_version) == (False, 0, 1)
    assert [(entry.key, entry.value) for entry in delta.topic_entries] == [(b"k", b"v")]


def test_deltas_chain_from_version_to_version(statestored, subscriber):
    """T-5, T-20: each message starts where the one before ended, and both versions are set."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    for count in range(5):
        published(daemon, a, "t", item(f"k{count}", str(count)))
    b.await_keys("t", *(f"k{count}" for count in range(5)))
    at = 0
    for call in b.calls("UpdateState", "t"):
        delta = call.delta("t")
        assert delta.from_version == at
        assert delta.is_delta == (at > 0)
        assert delta.to_version >= at
        assert delta.min_subscriber_topic_version is None
        assert delta.clear_topic_entries is None
        at = delta.to_version
    assert at == 5


def test_nothing_new_is_still_sent_every_period(statestored, subscriber):
    """T-8: equal versions, no entries: the subscriber's chance to publish."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    published(daemon, a, "t", item("k", "v"))
    a.await_value("t", "k", "v")
    for call in a.await_calls(3, "UpdateState", "t", since=a.mark()):
        delta = call.delta("t")
        assert (delta.is_delta, delta.from_version, delta.to_version) == (True, 1, 1)
        assert delta.topic_entries == []


def test_a_deletion_reaches_who_knew_the_key_and_no_newcomer(statestored, subscriber):
    """T-4, T-6: with deleted=true in a delta, left out of a full message."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    published(daemon, a, "t", item("gone", "v"), item("here", "w"))
    b.await_keys("t", "gone", "here")
    mark = b.mark()
    published(daemon, a, "t", item("gone", "last words", deleted=True))
    delta = b.await_delta("t", lambda delta: delta.topic_entries, since=mark)
    [entry] = delta.topic_entries
    assert (entry.key, entry.value, entry.deleted) == (b"gone", b"last words", True)
    c = subscriber(daemon, "c", "t")
    first = c.await_delta("t")
    assert (first.is_delta, keys_of(first), first.to_version) == (False, [b"here"], 3)


def test_a_deleted_key_lives_again_when_written(statestored, subscriber):
    """T-4."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    published(daemon, a, "t", item("k", "1"))
    b.await_value("t", "k", "1")
    published(daemon, a, "t", item("k", deleted=True))
    b.await_value("t", "k", None)
    published(daemon, a, "t", item("k", "2"))
    b.await_value("t", "k", "2")


def test_a_tombstone_goes_when_everybody_has_seen_it_and_not_before(statestored, subscriber):
    """T-4 as built (W12): it stays for one who has not, its key still counted (T-12)."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")
    published(daemon, a, "t", item("k", "12345"), item("l", "1"))
    b.await_keys("t", "k", "l")
    b.always(answer(skipped=True), "UpdateState")  # b sees no more
    b.await_calls(2, "UpdateState", since=b.mark())
    published(daemon, a, "t", item("k", "12345", deleted=True))
    a.await_delta("t", lambda delta: delta.from_version == 3)
    row = daemon.topic("t")
    assert (row["num_entries"], row["key_size_bytes"], row["value_size_bytes"]) == (2, 2, 6)
    b.always(answer(), "UpdateState")
    daemon.await_topic("t", num_entries=1, key_size_bytes=1, value_size_bytes=1)
    assert daemon.topic("t")["version"] == 3
    assert set(b.topics["t"]) == {b"l"}


def test_a_prefix_hides_entries_but_not_versions(statestored, subscriber):
    """T-7: values and tombstones alike; a hidden change still moves to_version on."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    b = subscriber(daemon, "b", topic("t", prefix="1:"))
    c = subscriber(daemon, "c", topic("t", prefix=""))
    published(daemon, a, "t", item("1:x", "v"), item("2:x", "v"), item("1", "short"))
    b.await_keys("t", "1:x")
    c.await_keys("t", "1:x", "2:x", "1")
    mark = b.mark()
    published(daemon, a, "t", item("2:x", deleted=True))
    delta = b.await_delta("t", lambda delta: delta.to_version == 4, since=mark)
    assert (delta.is_delta, keys_of(delta)) == (True, [])
    c.await_keys("t", "1:x", "1")
    published(daemon, a, "t", item("1:x", deleted=True))
    b.await_keys("t")


def test_the_lowest_version_is_told_to_who_asked(statestored, subscriber):
    """T-10: over all subscribers of the topic, never above the receiver's own base."""
    daemon = statestored()
    a = subscriber(daemon, "a", topic("t", wants_min=True))
    b = subscriber(daemon, "b", "t")
    slow = subscriber(daemon, "slow", "t")
    published(daemon, a, "t", item("k", "v"))
    slow.await_keys("t", "k")
    a.await_delta("t", lambda delta: delta.min_subscriber_topic_version == 1)
    slow.always(answer(skipped=True), "UpdateState")
    slow.await_calls(2, "UpdateState", since=slow.mark())
    published(daemon, a, "t", item("k", "w"), item("l", "x"))
    b.await_keys("t", "k", "l")
    mark = a.mark()
    for call in a.await_calls(3, "UpdateState", since=mark):
        assert call.delta("t").min_subscriber_topic_version == 1
    row = daemon.topic("t")
    assert (row["oldest_version"], row["oldest_id"]) == (1, "slow")
    slow.always(answer(), "UpdateState")
    a.await_delta("t", lambda delta: delta.min_subscriber_topic_version == 3, since=mark)
    for call in a.calls("UpdateState", "t"):
        delta = call.delta("t")
        assert delta.min_subscriber_topic_version <= delta.from_version
    assert all(call.delta("t").min_subscriber_topic_version is None
               for call in b.calls("UpdateState", "t"))


def test_a_newcomer_lowers_the_lowest_version_to_zero(statestored, subscriber):
    """T-10: a registration starts from 0 (R-3) until its first message is processed."""
    daemon = statestored()
    a = subscriber(daemon, "a", topic("t", wants_min=True))
    published(daemon, a, "t", item("k", "v"))
    a.await_delta("t", lambda delta: delta.min_subscriber_topic_version == 1)
    b = subscriber(None, "b", "t")
    b.always(answer(skipped=True), "UpdateState")
    daemon.register(b)
    mark = a.mark()
    a.await_delta("t", lambda delta: delta.min_subscriber_topic_version == 0, since=mark)
    b.die()
    a.await_delta("t", lambda delta: delta.min_subscriber_topic_version == 1,
                  since=a.mark())


def test_of_topics_named_twice_the_first_counts(statestored, subscriber):
    """T-11."""
    daemon = statestored()
    a = subscriber(daemon, "a", topic("t", prefix="x"), topic("t", transient=True))
    w = subscriber(daemon, "w", "t")
    published(daemon, a, "t", item("of-a"))
    published(daemon, w, "t", item("x1"), item("y1"))
    a.await_keys("t", "x1")
    assert daemon.subscriber("a")["num_topics"] == 1
    assert daemon.subscriber("a")["num_transient"] == 0
    w.await_keys("t", "of-a", "x1", "y1")


def test_sizes_count_each_key_once_and_its_current_value(statestored, subscriber):
    """T-12: on /topics and in the three gauges."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t", "u")
    published(daemon, a, "t", item("ab", "x" * 100), item("c", "yy"), item("ab", "z" * 10))
    published(daemon, a, "u", item("k" * 7, b""))
    row = daemon.topic("t")
    assert (row["num_entries"], row["key_size_bytes"], row["value_size_bytes"],
            row["total_size_bytes"]) == (2, 3, 12, 15)
    assert daemon.metric("statestore.total-key-size-bytes") == 10
    assert daemon.metric("statestore.total-value-size-bytes") == 12
    assert daemon.metric("statestore.total-topic-size-bytes") == 22


def test_keys_and_values_are_bytes_of_any_kind_and_size(statestored, subscriber):
    """T-1 and wire.md section 2: NUL, no UTF-8, empty, a key of 1 MiB, a value of 32 MiB."""
    daemon = statestored()
    a, b = subscriber(daemon, "a", "t", ""), subscriber(daemon, "b", "t", "")
    entries = {b"": b"", b"\x00\xff\xfe": bytes(range(256)), b"k" * (1 << 20): b"v",
               b"big": b"\x00\xf0" * (16 << 20)}
    published(daemon, a, "t", *(item(key, value) for key, value in entries.items()))
    published(daemon, a, "", item("in the topic without a name", "v"))
    b.until(lambda: b.topics["t"] == entries, "all of it")
    b.await_keys("", "in the topic without a name")
    assert daemon.topic("")["num_entries"] == 1


def test_deltas_in_order_always_equal_the_whole_topic(statestored, subscriber):
    """T-5, T-6, T-20: two writers, writes and deletions, a reader that often skips."""
    daemon = statestored(statestore_push_coalesce_ms=1)
    a, b, c = (subscriber(daemon, name, "t") for name in "abc")
    for turn in range(60):
        writer = (a, b)[turn % 2]
        writer.publish("t", item(f"k{turn % 7}", f"v{turn}"),
                       item(f"k{turn * 5 % 7}", deleted=turn % 3 == 0))
        c.script("UpdateState", answer(skipped=True), answer(code=6), answer())
    daemon.await_topic("t", version=120)
    d = subscriber(daemon, "d", "t")
    d.await_delta("t", lambda delta: delta.to_version == 120)
    whole = dict(d.topics["t"])
    assert 0 < len(whole) <= 7
    for reader in (a, b, c):
        eventually(lambda reader=reader: reader.topics["t"] == whole, f"{reader.id} has it all")
