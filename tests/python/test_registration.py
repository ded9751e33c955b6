"""Registering and being refused, and the protocol check: rules R, wire.md sections 2, 6 and 8."""

import socket

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.TTransport import TFileObjectTransport

from fake_subscriber import catalogd, item, topic
from statestore_idl import encode, ttypes
from statestored import eventually, text_of

V1 = 0
V2 = 1
GENERAL = 2
INCOMPATIBLE = 158


def assert_refused(response, code, text):
    assert (response.status.status_code, response.status.error_msgs[0]) == (code, text)
    # W35: nothing is said of a catalogd.
    assert response.catalogd_registration is None
    assert response.catalogd_version is None
    assert response.protocol_version == V2
    assert response.statestore_id is not None


def test_an_accepted_registration_is_answered_with_ids_version_and_role(statestored, subscriber):
    """R-7; without HA the statestored is active from its start."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    reply = a.registered
    assert reply.status.error_msgs == []
    assert reply.protocol_version == V2
    assert (reply.registration_id.hi, reply.registration_id.lo) != (0, 0)
    assert (reply.statestore_id.hi, reply.statestore_id.lo) != (0, 0)
    assert reply.statestore_is_active is True
    assert reply.active_statestored_version > 1_600_000_000_000_000  # microseconds
    assert reply.catalogd_registration is None and reply.catalogd_version is None
    shown = daemon.subscriber("a")
    assert shown["registration_id"] == text_of(reply.registration_id)
    [first] = a.await_calls(1, "Heartbeat")
    assert first.request.registration_id == reply.registration_id
    assert first.request.statestore_id == reply.statestore_id
    assert first.request.protocol_version == V2
    assert first.request.request_statestore_conn_state is None
    [update] = a.await_calls(1, "UpdateState")
    assert update.request.registration_id == reply.registration_id
    assert update.request.statestore_id == reply.statestore_id


def test_each_start_and_each_registration_has_an_id_of_its_own(statestored, subscriber):
    """R-8, R-3: the statestore id is of the process, the registration id of the call."""
    daemons = [statestored(), statestored()]
    a = subscriber(None, "a")
    replies = [daemons[0].register(a), daemons[0].register(a), daemons[1].register(a)]
    stores = [text_of(reply.statestore_id) for reply in replies]
    assert stores[0] == stores[1] != stores[2]
    assert len({text_of(reply.registration_id) for reply in replies}) == 3


def test_an_old_protocol_is_refused_with_its_text(statestored, subscriber):
    """R-1 and wire.md section 8: V2 fields, version 0."""
    daemon = statestored()
    a = subscriber(None, "a", "t")
    refused = daemon.ask(a, protocol_version=V1)
    assert_refused(refused, INCOMPATIBLE, "Subscriber 'a' has incompatible protocol version V1 "
                   "conflicting with statestored's version V2")
    assert refused.registration_id is None
    # Nothing is created.
    assert daemon.topic("t") is None and daemon.subscriber("a") is None


def test_a_client_of_the_first_protocol_reads_its_refusal(statestored):
    """R-1 and wire.md section 8: a V1 request has four fields, and no answer but two is read."""
    daemon = statestored()
    request = ttypes.TRegisterSubscriberRequest(
        protocol_version=V1, subscriber_id="old", topic_registrations=[topic("t")],
        subscriber_location=ttypes.TNetworkAddress("127.0.0.1", 1))
    data = encode("RegisterSubscriber", "call", request)
    with socket.create_connection(("127.0.0.1", daemon.port), 10) as stream:
        stream.settimeout(10)
        stream.sendall(data)
        reader = stream.makefile("rb")
        head = reader.read(4 + 4 + len("RegisterSubscriber") + 4)
        assert head[:4] == b"\x80\x01\x00\x02"
        # success, its status, the code 158 in it
        fields = b"\x0c\x00\x00" b"\x0c\x00\x01" b"\x08\x00\x01"
        assert reader.read(13) == fields + (158).to_bytes(4, "big")


def test_a_protocol_from_the_future_is_accepted(statestored, subscriber):
    """R-1: only lower than mine is refused."""
    daemon = statestored()
    a = subscriber(daemon, "a", protocol_version=7)
    a.await_calls(1, "Heartbeat")


def test_an_empty_id_is_refused(statestored, subscriber):
    """R-1."""
    daemon = statestored()
    refused = daemon.ask(subscriber(None, "", "t"))
    assert_refused(refused, GENERAL, "Subscriber ID cannot be empty string")
    assert daemon.topic("t") is None


@pytest.mark.parametrize(("ours", "theirs"), [("true", None), ("true", False), ("false", True)])
def test_a_catalogd_with_another_ha_setting_is_refused(statestored, subscriber, ours, theirs):
    """R-1: unset means false."""
    daemon = statestored(enable_catalogd_ha=ours)
    c = subscriber(None, "c", "t")
    refused = daemon.ask(c, catalogd_registration=catalogd(ha=theirs))
    assert_refused(refused, GENERAL, "CalaogD HA enabling flag from catalogd does not match.")
    assert daemon.topic("t") is None and daemon.subscriber("c") is None


def test_the_checks_come_in_their_order(statestored, subscriber):
    """R-1: version, then id, then catalogd, then network."""
    daemon = statestored(debug_actions="DISABLE_STATESTORE_NETWORK")
    daemon.disable_network(True)
    nobody, a = subscriber(None, ""), subscriber(None, "a")
    wrong = catalogd(ha=True)

    def code(fake, **changes):
        return daemon.ask(fake, **changes).status.error_msgs[0].split()[0]

    assert code(nobody, protocol_version=V1, catalogd_registration=wrong) == "Subscriber"
    assert "empty" in daemon.ask(nobody, catalogd_registration=wrong).status.error_msgs[0]
    assert code(a, catalogd_registration=wrong) == "CalaogD"
    assert code(a) == "Reject"


def test_a_refusal_changes_nothing_for_whoever_holds_the_id(statestored, subscriber):
    """R-1: refused under a live id, the registration goes on, entries and all."""
    daemon = statestored()
    a = subscriber(daemon, "a", topic("t", transient=True))
    a.publish("t", item("k", "v"))
    daemon.await_topic("t", num_entries=1)
    before = daemon.subscriber("a")["registration_id"]
    assert daemon.ask(a, protocol_version=V1).status.status_code == INCOMPATIBLE
    assert daemon.ask(a, catalogd_registration=catalogd(ha=True)).status.status_code == GENERAL
    beat = a.await_calls(2, "Heartbeat", since=a.mark())
    assert {text_of(call.request.registration_id) for call in beat} == {before}
    assert daemon.topic("t")["version"] == 1


def test_the_limit_refuses_newcomers_and_nobody_else(statestored, subscriber):
    """R-6, W26: the flag bounds registrations, a known id may always come again."""
    daemon = statestored(statestore_max_subscribers=2)
    a, b = subscriber(daemon, "a"), subscriber(daemon, "b")
    c = subscriber(None, "c", "of-c")
    refused = daemon.ask(c)
    assert_refused(refused, GENERAL, "Maximum subscriber limit reached: 2, subscribers_ size: 2")
    assert daemon.topic("of-c") is None
    assert daemon.metric("statestore.live-backends") == 2
    daemon.register(a)
    b.die()
    daemon.await_subscribers("a")
    daemon.register(c)


def test_registering_again_starts_anew(statestored, subscriber):
    """R-3, T-6: full update again, under the new id, and the old one's messages end."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    a.publish("t", item("k", "v"))
    a.await_delta("t", lambda delta: delta.is_delta)
    mark = a.mark()
    fresh = daemon.register(a).registration_id
    delta = a.await_delta("t", lambda delta: not delta.is_delta, since=mark)
    assert (delta.from_version, [entry.key for entry in delta.topic_entries]) == (0, [b"k"])
    eventually(lambda: all(call.request.registration_id == fresh for call in a.log[-6:]),
               "messages of the new registration only")
    assert daemon.metric("statestore.live-backends") == 1
    assert daemon.subscriber("a")["registration_id"] == text_of(fresh)


def test_an_id_may_move_to_another_address(statestored, subscriber):
    """R-4."""
    daemon = statestored()
    old, new = subscriber(daemon, "a"), subscriber(None, "a")
    daemon.register(new)
    new.await_calls(2, "Heartbeat")
    assert daemon.subscriber("a")["address"] == f"127.0.0.1:{new.port}"
    quiet = old.mark()
    new.await_calls(3, "Heartbeat", since=new.mark())
    assert old.calls("Heartbeat", since=quiet) == []


def test_two_ids_may_share_one_address(statestored, subscriber):
    """R-5: each has its own streams, and one leaving does not touch the other."""
    daemon = statestored()
    a = subscriber(daemon, "a", "t")
    second = daemon.register(a, subscriber_id="b").registration_id
    daemon.await_subscribers("a", "b")

    def beats(registration):
        return [c for c in a.calls("Heartbeat") if c.request.registration_id == registration]

    both = (a.registered.registration_id, second)
    eventually(lambda: all(len(beats(one)) > 2 for one in both), "heartbeats of both")


def test_the_protocol_version_is_told_to_everybody(statestored, subscriber):
    """R-9: also to an old client, and also without network."""
    daemon = statestored(debug_actions="DISABLE_STATESTORE_NETWORK")
    with daemon.client() as client:
        for theirs in (V1, V2, 9):
            told = client.GetProtocolVersion(ttypes.TGetProtocolVersionRequest(theirs))
            assert (told.status.status_code, told.protocol_version) == (0, V2)
        daemon.disable_network(True)
        again = client.GetProtocolVersion(ttypes.TGetProtocolVersionRequest(V2))
    assert again.statestore_id == told.statestore_id
    daemon.disable_network(False)
    assert subscriber(daemon, "a").registered.statestore_id == told.statestore_id


def test_an_unknown_method_is_an_exception_and_the_connection_goes_on(statestored):
    """wire.md section 2: type UNKNOWN_METHOD and the reference's words, any number of times."""
    daemon = statestored()
    with daemon.client() as client:
        protocol = client._oprot
        for name in ("Heartbeat", "NoSuchMethod", ""):
            protocol.writeMessageBegin(name, TMessageType.CALL, 7)
            protocol.writeStructBegin("args")
            protocol.writeFieldStop()
            protocol.writeMessageEnd()
            protocol.trans.flush()
            method, kind, seqid = protocol.readMessageBegin()
            error = TApplicationException()
            error.read(protocol)
            assert (method, kind, seqid) == (name, TMessageType.EXCEPTION, 7)
            assert error.type == TApplicationException.UNKNOWN_METHOD
            assert error.message == f"Invalid method name: '{name}'"
        told = client.GetProtocolVersion(ttypes.TGetProtocolVersionRequest(V2))
        assert told.status.status_code == 0


def test_a_request_without_a_required_field_ends_its_connection_only(statestored, subscriber):
    """wire.md section 2: no reply, closed; R-1: nothing changed."""
    daemon = statestored()
    with daemon.client() as bystander:
        data = encode("RegisterSubscriber", "call", ttypes.TRegisterSubscriberRequest(
            protocol_version=V2, subscriber_id="half"))
        with socket.create_connection(("127.0.0.1", daemon.port), 10) as stream:
            stream.settimeout(10)
            stream.sendall(data)
            assert stream.recv(1) == b""
        told = bystander.GetProtocolVersion(ttypes.TGetProtocolVersionRequest(V2))
        assert told.status.status_code == 0
    assert daemon.subscriber("half") is None


def test_an_unversioned_envelope_and_unknown_fields_are_read(statestored):
    """wire.md sections 1 and 2: old envelope, an unknown field, a known id of another type."""
    daemon = statestored()
    arguments = (b"\x0c\x00\x01"  # params
                 b"\x08\x00\x01\x00\x00\x00\x01"  # protocol_version
                 b"\x0f\x00\x63\x0b\x00\x00\x00\x01\x00\x00\x00\x02hi"  # 99: a list of strings
                 b"\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x09"  # 1 again, as an i64
                 b"\x00\x00")
    name = b"GetProtocolVersion"
    with socket.create_connection(("127.0.0.1", daemon.port), 10) as stream:
        stream.settimeout(10)
        old = len(name).to_bytes(4, "big") + name + b"\x01" + (5).to_bytes(4, "big")
        strict = b"\x80\x01\x00\x01" + len(name).to_bytes(4, "big") + name + (6).to_bytes(4, "big")
        stream.sendall(old + arguments + strict + arguments)  # back to back, answered in order
        protocol = TBinaryProtocol(TFileObjectTransport(stream.makefile("rb")))
        for seqid in (5, 6):
            assert protocol.readMessageBegin() == ("GetProtocolVersion", TMessageType.REPLY, seqid)
            result = ttypes.TGetProtocolVersionResponse()
            assert protocol.readFieldBegin()[1:] == (12, 0)
            result.read(protocol)
            assert protocol.readFieldBegin()[1] == 0
            assert (result.status.status_code, result.protocol_version) == (0, V2)
