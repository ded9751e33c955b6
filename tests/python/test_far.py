"""Subscribers that are far away: on the other side of an ocean, or of a busy line."""

import statistics

import pytest

from far import Relay
from fake_subscriber import item
from statestore_idl import ttypes
from statestored import Client, text_of

TOPIC = "catalog-update"
AWAY = 0.2  # there and back
FAR = 10
BEATS = 10


@pytest.fixture
def relay():
    """Makes relays: `relay(port)` gives a port that leads there, far away."""
    made = []

    def make(port):
        made.append(Relay(port, AWAY))
        return made[-1].port

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def far(relay, subscriber):
    """Makes a subscriber that is far away, in both directions, and registers it."""

    def make(daemon, subscriber_id):
        fake = subscriber(None, subscriber_id, TOPIC)
        location = ttypes.TNetworkAddress("127.0.0.1", relay(fake.port))
        with Client(relay(daemon.port)) as client:
            fake.registered = client.RegisterSubscriber(
                fake.request(subscriber_location=location))
        assert fake.registered.status.status_code == 0, fake.registered.status
        return fake

    return make


def test_who_is_far_away_stays_registered_and_delays_nobody(statestored, subscriber, far):
    """F-2, S-5, S-6: each call takes its time, and nobody else's."""
    daemon = statestored(statestore_max_missed_heartbeats=3)
    near = subscriber(daemon, "near", TOPIC)
    away = [far(daemon, f"far{n}") for n in range(FAR)]
    mark = near.mark()
    for each in away:
        each.await_calls(BEATS, "Heartbeat")
    # A large one and a small one to all, and one back.
    near.publish(TOPIC, item("large", "v" * 1_000_000))
    for each in away:
        each.await_value(TOPIC, "large", "v" * 1_000_000)
    near.publish(TOPIC, item("small", "v"))
    away[0].publish(TOPIC, item("back", "v"))
    for each in [near, *away]:
        each.await_keys(TOPIC, "large", "small", "back")

    for each in away:
        registration = each.registered.registration_id
        assert daemon.subscriber(each.id)["registration_id"] == text_of(registration)
        beats = each.calls("Heartbeat")
        assert all(beat.request.registration_id == registration for beat in beats)
        pauses = [after.at - before.answered
                  for before, after in zip(beats[:-1], beats[1:], strict=True)]
        assert min(pauses) >= AWAY, "it is near"
        whole = [call for call in each.calls("UpdateState", TOPIC)
                 if not call.delta(TOPIC).is_delta and call.delta(TOPIC).to_version > 0]
        assert len(whole) <= 1, "it is sent what it has"
    # One after the other they would take two seconds for each.
    beats = [call.at for call in near.calls("Heartbeat", since=mark)]
    pauses = [after - before for before, after in zip(beats[:-1], beats[1:], strict=True)]
    assert statistics.median(pauses) < FAR * AWAY / 4, statistics.median(pauses)
