"""A subscriber that does what a test says, on Python's thrift.

Generated code reads and writes every message (TBinaryProtocol, strict, buffered, plain sockets,
one thread per connection). How a call is met is a *behaviour* (behaviours.py): `script` sets that
of the next calls of a method, `always` that of all others. Every request is recorded with
`time.monotonic()` at its arrival and at its answer.

Nothing here knows a rule of the statestored.
"""

import collections
import socket
import threading
import time

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TServerSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from behaviours import Last, answer
from statestore_idl import StatestoreSubscriber, encode, ttypes

LIMIT = 30.0  # seconds that anything may take before a test gives up
METHODS = ("Heartbeat", "UpdateState", "UpdateCatalogd", "UpdateStatestoredRole")


def topic(name, transient=False, prefix=None, wants_min=False):
    """A line of a registration."""
    return ttypes.TTopicRegistration(
        topic_name=name, is_transient=transient, filter_prefix=prefix,
        populate_min_subscriber_topic_version=wants_min)


def item(key, value=b"", deleted=False):
    return ttypes.TTopicItem(key=bytes_of(key), value=bytes_of(value), deleted=deleted)


def catalogd(port=26000, ha=None, force=None, uds=None):
    """What a catalogd says of itself; it serves on this port."""
    return ttypes.TCatalogRegistration(
        protocol=ttypes.CatalogServiceVersion.V2, enable_catalogd_ha=ha,
        address=ttypes.TNetworkAddress("127.0.0.1", port, uds), force_catalogd_active=force)


def bytes_of(text):
    return text.encode() if isinstance(text, str) else text


class Call:
    """One request, as it came."""

    def __init__(self, method, request, seqid, connection, stopped):
        self.method = method
        self.request = request
        self.seqid = seqid
        self.connection = connection
        self.at = time.monotonic()
        self.answered = None  # just before the answer is sent
        self.over = False  # the answer was sent, or will never be
        self._stopped = stopped

    def delta(self, name):
        """What an UpdateState says of a topic, or None."""
        return self.request.topic_deltas.get(name) if self.method == "UpdateState" else None

    def wait(self, gate):
        """Waits for the test's event; false if the subscriber ended before."""
        while not gate.wait(0.02):
            if self._stopped.is_set():
                return False
        return True

    def reply(self, content):
        return encode(self.method, "reply", content, self.seqid)


class FakeSubscriber:
    """Listens on a port that the system picks until `stop`."""

    def __init__(self, subscriber_id, topics=()):
        self.id = subscriber_id
        self.topic_registrations = [topic(t) if isinstance(t, str) else t for t in topics]
        self.port = None
        self.log = []  # every Call, in order of arrival
        self.topics = collections.defaultdict(dict)  # the mirror: name -> key -> value
        self.reading = True  # False: connections are accepted and never read
        self.broken = []  # what went wrong in the threads here
        self._behaviours = {method: answer() for method in METHODS}
        self._scripts = {method: collections.deque() for method in METHODS}
        self._publications = []
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._open = []
        self._threads = 0
        self.listen()

    # what it does

    def script(self, method, *behaviours, topic=None):
        """The next calls of a method (that carry a topic) meet these behaviours, one each."""
        with self._changed:
            self._scripts[method].extend((topic, behaviour) for behaviour in behaviours)

    def always(self, behaviour, *methods):
        """All other calls of these methods (all, if none is given) meet this behaviour."""
        with self._changed:
            for method in methods or METHODS:
                self._behaviours[method] = behaviour

    def publish(self, name, *items, carrier=None, **fields):
        """Publishes with the next answer to an update that carries the topic."""
        fields.setdefault("is_delta", False)
        delta = ttypes.TTopicDelta(topic_name=name, topic_entries=list(items), **fields)
        with self._changed:
            self._publications.append((carrier or name, delta))

    def request(self, **changes):
        """Its registration."""
        fields = {
            "protocol_version": ttypes.StatestoreServiceVersion.V2,
            "subscriber_id": self.id,
            "subscriber_location": ttypes.TNetworkAddress("127.0.0.1", self.port),
            "topic_registrations": self.topic_registrations,
            "subscriber_type": ttypes.TStatestoreSubscriberType.COORDINATOR,
        }
        return ttypes.TRegisterSubscriberRequest(**{**fields, **changes})

    # what it saw

    def mark(self):
        """A place in the record, for `since`."""
        with self._changed:
            return len(self.log)

    def calls(self, method, name=None, since=0):
        with self._changed:
            return [call for call in self.log[since:]
                    if call.method == method and (name is None or call.delta(name))]

    def await_calls(self, count, method, name=None, since=0, limit=LIMIT):
        """The first `count` such calls since a mark."""
        self.until(lambda: len(self.calls(method, name, since)) >= count,
                   f"{count} {method} of {name or 'anything'} to {self.id}", limit)
        return self.calls(method, name, since)[:count]

    def await_delta(self, name, wanted=lambda delta: True, since=0, limit=LIMIT):
        """The first delta of a topic since a mark that is as wanted."""

        def found():
            return [call.delta(name) for call in self.calls("UpdateState", name, since)
                    if wanted(call.delta(name))]

        self.until(found, f"such a delta of {name} to {self.id}", limit)
        return found()[0]

    def await_value(self, name, key, value):
        """Waits until its mirror holds a value; None: until the key is gone."""
        value = None if value is None else bytes_of(value)
        self.until(lambda: self.topics[name].get(bytes_of(key)) == value,
                   f"{self.id} has {value!r} under {key!r} in {name}")

    def await_keys(self, name, *keys):
        wanted = {bytes_of(key) for key in keys}
        self.until(lambda: set(self.topics[name]) == wanted, f"{self.id} has {wanted} in {name}")

    def until(self, condition, what, limit=LIMIT):
        end = time.monotonic() + limit
        with self._changed:
            while not condition():
                assert not self.broken, self.broken
                left = end - time.monotonic()
                assert left > 0, f"not within {limit} s: {what}"
                self._changed.wait(min(left, 0.5))

    # for behaviours

    def due(self, call):
        """Takes the publications that go with this answer."""
        with self._changed:
            carried = call.request.topic_deltas
            now = [delta for carrier, delta in self._publications if carrier in carried]
            self._publications = [p for p in self._publications if p[0] not in carried]
        return now

    def apply(self, call):
        """Takes a message into the mirror."""
        with self._changed:
            for name, delta in call.request.topic_deltas.items():
                if not delta.is_delta:
                    self.topics[name].clear()
                for entry in delta.topic_entries:
                    if entry.deleted:
                        self.topics[name].pop(entry.key, None)
                    else:
                        self.topics[name][entry.key] = entry.value

    # its server

    def listen(self):
        """Opens a port; another one after `die`."""
        self._listener = TServerSocket("127.0.0.1", 0)
        self._listener.listen()
        self.port = self._listener.handle.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def die(self):
        """Closes its port and all connections, as a killed process does."""
        with self._changed:
            listener, self._listener = self._listener, None
        if listener is not None:
            shut(listener.handle)
            listener.close()
        self.hang_up()

    def hang_up(self):
        """Closes all connections."""
        with self._changed:
            opened, self._open = self._open, []
        for transport in opened:
            shut(transport.handle)

    def await_pause(self):
        """Waits for a moment without calls."""
        self.until(lambda: all(call.over for call in self.log), f"{self.id} has answered")

    def stop(self):
        self._stopped.set()
        self.die()
        assert not self.broken, self.broken

    def _accept(self, listener):
        while True:
            try:
                transport = listener.accept()
            except (OSError, AttributeError):
                return  # closed
            if transport is None:
                return
            with self._changed:
                if listener is not self._listener:
                    # Accepted while it died: nobody else would hang this one up.
                    shut(transport.handle)
                    return
                self._open.append(transport)
                self._threads += 1
                number = self._threads
            threading.Thread(target=self._serve, args=(transport, number), daemon=True).start()

    def _serve(self, transport, number):
        protocol = TBinaryProtocol(TBufferedTransport(transport), strictRead=True)
        try:
            while self.reading and self._answer(transport, protocol, number):
                pass
            if not self.reading:
                self._stopped.wait()
        except (OSError, EOFError, TTransportException):
            pass  # the connection ended
        except Exception as error:  # noqa: BLE001 - for the test that is running
            self.broken.append(repr(error))
        finally:
            shut(transport.handle)
            transport.close()
            with self._changed:
                self._open = [other for other in self._open if other is not transport]
                self._changed.notify_all()

    def _answer(self, transport, protocol, number):
        """Reads one call and meets it; false when the connection is to be closed."""
        method, _, seqid = protocol.readMessageBegin()
        arguments = getattr(StatestoreSubscriber, f"{method}_args")()
        arguments.read(protocol)
        arguments.params.validate()
        call = Call(method, arguments.params, seqid, number, self._stopped)
        with self._changed:
            self.log.append(call)
            behaviour = self._next_behaviour(call)
            self._changed.notify_all()
        try:
            data = behaviour(call, self)
            call.answered = time.monotonic()
            if data is None:
                return False
            for part in [data] if isinstance(data, bytes) else data:
                transport.write(part)
            return not isinstance(data, Last)
        finally:
            with self._changed:
                call.over = True
                self._changed.notify_all()

    def _next_behaviour(self, call):
        script = self._scripts[call.method]
        for place, (name, behaviour) in enumerate(script):
            if name is None or call.delta(name):
                del script[place]
                return behaviour
        return self._behaviours[call.method]


def shut(handle):
    try:
        handle.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):
        pass  # already; thrift forgets the handle of what it closed
