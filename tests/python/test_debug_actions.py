"""Failures that tests of clusters ask for: flags.md section 10, wire.md section 8, H-9."""

import time

import pytest
from thrift.Thrift import TApplicationException

from catalogds import Cluster
from fake_subscriber import topic
from statestore_idl import ttypes
from statestored import eventually, run


def test_sleeping_before_updates_stretches_them(statestored, subscriber):
    """DO_SUBSCRIBER_UPDATE:SLEEP, in all three streams; labels in any case; the daemon itself
    does not sleep."""
    daemon = statestored(debug_actions="do_subscriber_UPDATE:SLEEP@300")
    a = subscriber(daemon, "a", "t", "impala-membership")
    for method, name in (("Heartbeat", None), ("UpdateState", "t"),
                         ("UpdateState", "impala-membership")):
        calls = a.await_calls(3, method, name)
        assert all(later.at - sooner.answered >= 0.3
                   for sooner, later in zip(calls, calls[1:], strict=False))
    start = time.monotonic()
    daemon.json("/subscribers")
    assert time.monotonic() - start < 5


def test_failing_before_updates_is_only_logged(statestored, subscriber):
    """DO_SUBSCRIBER_UPDATE:FAIL, with text and probability, after another action."""
    daemon = statestored(
        debug_actions="DO_SUBSCRIBER_UPDATE:JITTER@5|DO_SUBSCRIBER_UPDATE:FAIL@1.0@out of luck")
    a = subscriber(daemon, "a", "t")
    a.await_calls(3, "UpdateState")
    a.await_calls(3, "Heartbeat")
    daemon.await_log("Ignoring debug action failure: out of luck")
    assert daemon.subscriber("a")


def test_an_injected_failure_of_the_first_notice_is_mended_by_the_next(statestored, subscriber):
    """SEND_UPDATE_CATALOGD_RPC_FIRST_ATTEMPT:FAIL; N-3: it counts as failed and is sent again."""
    daemon = statestored(debug_actions="SEND_UPDATE_CATALOGD_RPC_FIRST_ATTEMPT:FAIL@1.0")
    cluster = Cluster(daemon, subscriber, None)
    coordinator = cluster.coordinator()
    cluster.catalogd("one", wants=False)
    coordinator.await_calls(1, "UpdateCatalogd")
    good = "statestore.num-successful-update-catalogd-rpc"
    eventually(lambda: daemon.metric(good) == 1, "the notice was delivered")
    assert daemon.metric("statestore.num-failed-update-catalogd-rpc") == 1
    daemon.await_log(f"Injected RPC error to 127.0.0.1:{coordinator.port}: "
                     "Debug Action: SEND_UPDATE_CATALOGD_RPC_FIRST_ATTEMPT:FAIL@1.0")


@pytest.mark.parametrize("actions", [
    "DO_SUBSCRIBER_UPDATE", "DO_SUBSCRIBER_UPDATE:NAP@3", "DO_SUBSCRIBER_UPDATE:SLEEP@soon",
    "DO_SUBSCRIBER_UPDATE:FAIL@2.5", "X:SLEEP@1|DO_SUBSCRIBER_UPDATE:SLEEP"])
def test_an_action_that_is_none_ends_the_start(actions):
    """flags.md section 10: named with its label."""
    code, _, stderr = run(state_store_port=0, webserver_port=0, debug_actions=actions)
    entry = actions.rsplit("|", 1)[-1]
    assert code == 1 and f"Invalid debug_action {entry} (" in stderr


def test_actions_of_other_daemons_are_let_be(statestored, subscriber):
    """flags.md section 10: a shared flagfile may hold them."""
    daemon = statestored(debug_actions="IGNORE_NEW_ACTIVE_CATALOGD_ADDR:FAIL@1.0|WHATEVER:X")
    subscriber(daemon, "a").await_calls(1, "Heartbeat")
    assert "WHATEVER:X" in daemon.log()


def test_protocol_1_is_played_for_python_clients(statestored, subscriber):
    """wire.md section 8, START_STATESTORE_IN_PROTOCOL_V1: an exception for those, of type 0;
    everybody else is served, and R-1 holds."""
    daemon = statestored(debug_actions="START_STATESTORE_IN_PROTOCOL_V1")
    client = subscriber(None, "python-test-client-7", "t")
    with pytest.raises(TApplicationException) as refused:
        daemon.ask(client)
    assert (refused.value.type, refused.value.message) == (0, "Invalid data")
    assert daemon.ask(client, protocol_version=0).status.status_code == 158
    daemon.register(client, subscriber_id="impalad@host:22000")


def test_the_network_can_be_cut_and_joined(statestored, subscriber):
    """H-9: heartbeats fail unsent, so everybody is dropped (F-4); registrations are refused."""
    daemon = statestored(debug_actions="DISABLE_STATESTORE_NETWORK",
                         statestore_max_missed_heartbeats=6)
    a = subscriber(daemon, "a", topic("t", transient=True))
    a.await_calls(2, "Heartbeat")
    assert daemon.disable_network(True).status.status_code == 0
    mark = a.mark()
    daemon.await_subscribers()
    assert len(a.calls("Heartbeat", since=mark)) <= 1  # was under way
    daemon.await_log("Don't send heartbeat since network is disabled.")
    refused = daemon.ask(a)
    assert refused.status.error_msgs == ["Reject registration since network is disabled."]
    assert refused.status.status_code == 2
    daemon.disable_network(False)
    daemon.register(a)
    a.await_calls(2, "Heartbeat", since=mark)


def test_without_the_flag_the_switch_does_nothing(statestored, subscriber):
    """H-9, flags.md section 10: answered OK; also when nothing is asked for."""
    daemon = statestored()
    a = subscriber(daemon, "a")
    assert daemon.disable_network(True).status.status_code == 0
    assert daemon.disable_network(None).status.status_code == 0
    a.await_calls(3, "Heartbeat", since=a.mark())
    daemon.register(a)
    with daemon.client() as client:
        old = ttypes.TSetStatestoreDebugActionRequest(protocol_version=0, disable_network=True)
        assert client.SetStatestoreDebugAction(old).status.status_code == 0  # not checked


def test_noise_for_the_log_is_written_each_second(statestored):
    """LOG_MAINTENANCE_STDERR."""
    daemon = statestored(debug_actions="LOG_MAINTENANCE_STDERR:SLEEP@1")

    def noise():
        lines = daemon.log().splitlines()
        return [line for line in lines if line and line[0] not in "IWEF"]

    eventually(lambda: len(noise()) >= 2, "two lines that are no log messages")
