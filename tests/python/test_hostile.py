"""What a statestored must stand: peers that lie, crowd, or send what is no protocol at all.

Seeds are fixed, so that a failure can be had again.
"""

import random
import socket
import struct

import pytest

from behaviours import answer, close, crowd, cut, field_missing, garbage, hang, lie, other_method
from fake_subscriber import item, topic
from statestore_idl import encode, ttypes
from statestored import eventually

MIB = 1 << 20
STRICT = 0x80010000


def header(name, kind=1, seqid=0):
    return struct.pack(">II", STRICT | kind, len(name)) + name + struct.pack(">I", seqid)


CALL = header(b"RegisterSubscriber")
NONSENSE = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS client": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "a framed client": b"\x00\x00\x00\x20" + CALL,
    "another version": b"\x80\x02\x00\x01" + CALL[4:] + b"\x00",
    "a reply": header(b"RegisterSubscriber", kind=2) + b"\x00",
    "a name without end": struct.pack(">II", STRICT | 1, 0x7FFFFFFF) + b"x" * 64,
    "a negative name": struct.pack(">II", STRICT | 1, 0xFFFFFFFF) + b"x" * 64,
    "a negative string": CALL + b"\x0c\x00\x01\x0b\x00\x02\xff\xff\xff\xff",
    "a huge string": CALL + b"\x0c\x00\x01\x0b\x00\x02\x7f\xff\xff\xff" + b"x" * 100,
    "a huge list": CALL + b"\x0c\x00\x01\x0f\x00\x04\x0c\x7f\xff\xff\xff",
    "a huge list of nothing": CALL + b"\x0c\x00\x01\x0f\x00\x63\x02\x7f\xff\xff\xff",
    "a huge map": CALL + b"\x0c\x00\x01\x0d\x00\x63\x0b\x0b\x7f\xff\xff\xff",
    "a negative list": CALL + b"\x0c\x00\x01\x0f\x00\x04\x0c\xff\xff\xff\xff",
    "an unknown type": CALL + b"\x0c\x00\x01\x77\x00\x02" + b"\x00" * 50,
    "endless depth": CALL + b"\x0c\x00\x01" * 100_000,
    "lists in lists": CALL + b"\x0f\x00\x63" + b"\x0f\x00\x00\x00\x01" * 100_000,
    "an empty struct": CALL + b"\x00",
    "half a message": CALL + b"\x0c\x00\x01\x08\x00",
}


def send(port, data, wait=True):
    """Sends, says that nothing more comes, reads to the end."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 10) as stream:
        stream.settimeout(10)
        try:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            while wait and (part := stream.recv(65536)):
                got += part
        except TimeoutError:
            raise
        except OSError:
            pass  # a reset is as good an end
    return got


@pytest.fixture
def busy(statestored, subscriber):
    """A statestored with one subscriber, which must not notice anything; checked at the end."""
    daemon = statestored(statestore_max_missed_heartbeats=3)
    a = subscriber(daemon, "a", "t")
    a.await_calls(1, "Heartbeat")
    registration = a.registered.registration_id
    yield daemon
    a.publish("t", item("still", "here"))
    a.await_value("t", "still", "here")
    calls = a.await_calls(3, "Heartbeat", since=a.mark())
    assert all(call.request.registration_id == registration for call in calls)
    assert daemon.subscriber("a")


def test_nonsense_on_the_service_port_closes_its_connection_only(busy):
    """wire.md section 2: closed without a word, and without memory for what was announced."""
    before = busy.rss()
    with busy.client() as bystander:
        for kind, data in NONSENSE.items():
            assert send(busy.port, data) == b"", kind
        told = bystander.GetProtocolVersion(ttypes.TGetProtocolVersionRequest(1))
        assert told.status.status_code == 0
    assert busy.rss() - before < 32 * MIB


def test_random_bytes_do_no_harm(busy):
    """Five hundred connections of noise, some of it behind a good header."""
    dice = random.Random(2)
    before = busy.rss()
    for turn in range(500):
        noise = dice.randbytes(dice.randrange(1, 400))
        send(busy.port, (b"", CALL, CALL + b"\x0c\x00\x01")[turn % 3] + noise, wait=turn % 7 == 0)
    assert busy.rss() - before < 32 * MIB


def test_good_requests_with_a_bit_turned_do_no_harm(busy):
    """Structured noise: accepted, refused or closed, and never the end of the others."""
    dice = random.Random(3)
    good = encode("RegisterSubscriber", "call", ttypes.TRegisterSubscriberRequest(
        protocol_version=1, subscriber_id="x" * 8, topic_registrations=[topic("u", prefix="1:")],
        subscriber_location=ttypes.TNetworkAddress("127.0.0.1", 9)))
    for _ in range(600):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        send(busy.port, bytes(data), wait=False)
    busy.await_subscribers("a")


def test_a_thousand_connections_at_once_are_served(busy):
    """wire.md section 1: no limit met, no idle timeout; each is answered, and all are let go."""
    key = "impala.thrift-server.StatestoreService.connections-in-use"
    ask = encode("GetProtocolVersion", "call", ttypes.TGetProtocolVersionRequest(1))
    streams = []
    try:
        for _ in range(1_000):
            streams.append(socket.create_connection(("127.0.0.1", busy.port), 10))
        for stream in streams:
            stream.settimeout(30)
            stream.sendall(ask)
        for stream in streams:
            assert stream.recv(4) == b"\x80\x01\x00\x02"
        assert busy.metric(key) == 1_000
    finally:
        for stream in streams:
            stream.close()
    eventually(lambda: busy.metric(key) == 0, "all connections are let go")
    assert busy.rss() < 200 * MIB


def test_half_a_request_on_many_connections_holds_up_nobody(busy):
    """wire.md section 1: slow senders cost their own bytes only."""
    data = encode("RegisterSubscriber", "call", ttypes.TRegisterSubscriberRequest(
        protocol_version=1, subscriber_id="slow", topic_registrations=[topic("x" * 50_000)],
        subscriber_location=ttypes.TNetworkAddress("127.0.0.1", 9)))
    before = busy.rss()
    streams = [socket.create_connection(("127.0.0.1", busy.port), 10) for _ in range(200)]
    for stream in streams:
        stream.sendall(data[:-1000])
    with busy.client() as client:
        assert client.GetProtocolVersion(ttypes.TGetProtocolVersionRequest(1)).status
    for stream in streams:
        stream.close()
    assert busy.rss() - before < 64 * MIB
    assert busy.subscriber("slow") is None


def test_a_request_beyond_the_limit_is_cut_off(statestored, subscriber):
    """--statestore_max_request_bytes: the connection closes before the rest is taken in."""
    daemon = statestored(statestore_max_request_bytes=MIB)
    request = subscriber(None, "a").request(topic_registrations=[topic("x" * (2 * MIB))])
    assert send(daemon.port, encode("RegisterSubscriber", "call", request)) == b""
    request.topic_registrations = [topic("x" * (MIB // 2))]
    assert send(daemon.port, encode("RegisterSubscriber", "call", request))[:4] == \
        b"\x80\x01\x00\x02"


def test_an_address_that_serves_something_else_fails_alone(busy, subscriber):
    """F-2, F-4: the statestored's own two ports as a subscriber's: an exception, and HTTP."""
    liar = subscriber(None, "liar", "t", "impala-membership")
    for name, port in (("service", busy.port), ("web", busy.web)):
        where = ttypes.TNetworkAddress("127.0.0.1", port)
        busy.register(liar, subscriber_id=name, subscriber_location=where)
    busy.await_subscribers("a")
    busy.await_log("removed after 3")


def test_noise_and_idlers_on_the_web_port_hold_up_nobody(busy):
    """observability.md section 3: what is no HTTP is dropped; the pages stay."""
    dice = random.Random(4)
    idlers = [socket.create_connection(("127.0.0.1", busy.web), 10) for _ in range(100)]
    for number, stream in enumerate(idlers):
        if number % 2:
            stream.sendall(b"GET /topics?json HTTP/1.1\r\nHost: ")
    for _ in range(100):
        send(busy.web, dice.randbytes(200) + b"\r\n\r\n", wait=False)
    for path in ("/?" + "x" * 5_000, "/%00%ff%2e%2e/%2e%2e/etc/passwd", "/varz?" + "&" * 999):
        assert busy.http(path)[0] in (200, 400, 404, 414)
    assert busy.http("/healthz")[0] == 200
    for stream in idlers:
        stream.close()


def test_memory_follows_what_is_alive(statestored, subscriber):
    """W12, T-3: a hundred and fifty thousand writes and as many deletions leave nothing."""
    daemon = statestored(statestore_push_coalesce_ms=1, statestore_update_frequency_ms=2)
    a, b = subscriber(daemon, "a", "t"), subscriber(daemon, "b", "t")

    def churn(first, rounds):
        for number in range(first, first + rounds):
            keys = [f"key-{number % 5}-{place}" for place in range(500)]
            a.publish("t", *(item(key, b"v" * 1000) for key in keys), is_delta=True)
            a.publish("t", *(item(key, deleted=True) for key in keys))
        daemon.await_topic("t", version=(first + rounds) * 1000)

    churn(0, 50)
    early = daemon.rss()
    churn(50, 250)
    b.await_keys("t")
    daemon.await_topic("t", num_entries=0, total_size_bytes=0)
    assert daemon.rss() - early < 64 * MIB


def test_ten_thousand_registrations_of_one_id_leave_one(statestored, subscriber):
    """R-3, S-7: streams and memory of one registration, whatever came before."""
    daemon = statestored()
    a = subscriber(None, "a", topic("t", transient=True), "impala-membership")
    with daemon.client() as client:
        for number in range(10_000):
            reply = client.RegisterSubscriber(a.request())
            if number == 1_000:
                early = daemon.rss()
    assert daemon.rss() - early < 24 * MIB
    mark = a.mark()
    daemon.await_subscribers("a")
    eventually(lambda: all(call.request.registration_id == reply.registration_id
                           for call in a.log[a.mark() - 5:]), "the last registration's messages")
    a.await_calls(5, "Heartbeat", since=mark)
    quick = len(a.calls("UpdateState", since=mark))
    a.await_calls(10, "Heartbeat", since=mark)
    # One stream of each class: some three of these between two heartbeats, not thousands.
    assert len(a.calls("UpdateState", since=mark)) - quick < 200


def test_a_hung_subscriber_that_registers_in_a_loop_does_not_pile_up_calls(
        statestored, subscriber):
    """R-3, S-3: its pending calls stay few, and its connections too."""
    daemon = statestored(statestore_heartbeat_tcp_timeout_seconds=20)
    a, other = subscriber(None, "a", "t", "impala-membership"), subscriber(daemon, "other", "t")
    a.always(hang)
    for _ in range(300):
        daemon.register(a)
    mark = other.mark()
    other.await_calls(10, "Heartbeat", since=mark)
    other.await_calls(5, "UpdateState", since=mark)
    assert len(a.log) < 30, len(a.log)


def test_a_thousand_topics_of_one_subscriber_are_all_sent(statestored, subscriber):
    """S-2, T-9: in one message."""
    daemon = statestored()
    names = [f"topic-{number}" for number in range(1_000)]
    a = subscriber(daemon, "a", *names)
    [call] = a.await_calls(1, "UpdateState")
    assert set(call.request.topic_deltas) == set(names)
    assert daemon.subscriber("a")["num_topics"] == 1_000


def test_a_crowd_of_bad_subscribers_is_noticed_by_nobody_else(statestored, subscriber):
    """F-2, S-6 as built (W14): every kind of them at once, on every method."""
    daemon = statestored(statestore_max_missed_heartbeats=4,
                         statestore_update_tcp_timeout_seconds=1,
                         statestore_heartbeat_tcp_timeout_seconds=1)
    good = subscriber(daemon, "good", "t", "impala-membership")
    good.publish("t", item("big", b"x" * (4 * MIB)))
    good.await_value("t", "big", b"x" * (4 * MIB))
    kinds = [hang, lie, crowd, close, cut, other_method, field_missing, garbage(b"\xff" * 40),
             garbage(b""), answer(code=6)]
    for number, kind in enumerate(kinds):
        bad = subscriber(None, f"bad-{number}", "t", "impala-membership")
        bad.always(kind)
        daemon.register(bad)
    never = subscriber(None, "never-reads", "t", "impala-membership")
    never.reading = False
    daemon.register(never)
    mark = good.mark()
    daemon.await_subscribers("good")
    beats, updates = good.calls("Heartbeat", since=mark), good.calls("UpdateState", since=mark)
    assert len(beats) > 10 and len(updates) > 10
    assert all(later.at - sooner.at < 3 for sooner, later in zip(beats, beats[1:], strict=False))
    assert daemon.rss() < 250 * MIB
