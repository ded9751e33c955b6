"""The real binary as a process: flags, ports, pages, its StatestoreService, its end.

Ports are picked by the system and read from the log. A process is ended by its own id only.
"""

import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from fake_subscriber import LIMIT
from statestore_idl import TARGET, StatestoreService, ttypes

BINARY = pathlib.Path(os.environ.get("STATESTORE_BIN_DIR") or TARGET / "debug") / "statestored"

# Periods that keep a test short. A test of a period sets its own.
QUICK = {
    "statestore_heartbeat_frequency_ms": 100,
    "statestore_update_frequency_ms": 60,
    "statestore_priority_update_frequency_ms": 40,
}
ALWAYS = {
    "state_store_port": 0,
    "webserver_port": 0,
    "hostname": "localhost",
    "logtostderr": "true",
    "redirect_stdout_stderr": "false",
}


def eventually(ask, what, limit=LIMIT):
    """Asks until the answer is true, and gives it."""
    end = time.monotonic() + limit
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < end, f"not within {limit} s: {what}"
        time.sleep(0.01)


def free_port():
    """A port for a flag that cannot be 0: below those that the system picks for others."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        return port


def command(flags, words=()):
    return [str(BINARY), *(f"--{name}={value}" for name, value in flags.items()), *words]


def run(*words, env=None, **flags):
    """Runs the binary to its end: exit code, stdout, stderr."""
    done = subprocess.run(
        command(flags, words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT, check=False, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout, done.stderr


class Statestored:
    """A running one."""

    def __init__(self, folder, flags, words=(), env=None, terminal=None):
        """`terminal` is a file to write to instead of two in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        out, err = (terminal or folder / name for name in ("stdout", "stderr"))
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            self.process = subprocess.Popen(
                command({**ALWAYS, "log_dir": folder, **flags}, words),
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                env={**os.environ, **(env or {})})

    def ready(self):
        """Waits for its ports and for /healthz."""
        self.web = self._port(r"Web server listening on port (\d+)")
        self.port = self._port(r"StatestoreService listening on port (\d+)")
        eventually(lambda: self.http("/healthz")[0] == 200, "a healthy statestored")
        return self

    def _port(self, pattern):
        def logged():
            assert self.process.poll() is None, f"it ended: {self.log()}"
            return re.search(pattern, self.log())

        return int(eventually(logged, pattern).group(1))

    def log(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def await_log(self, text):
        eventually(lambda: text in self.log(), f"{text!r} in the log")

    # its pages

    def http(self, path, method="GET", body=None, headers=None):
        """Status, body as text, headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web, timeout=LIMIT)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode(), response.headers
        finally:
            connection.close()

    def json(self, path):
        status, body, _ = self.http(path + ("&" if "?" in path else "?") + "json")
        assert status == 200, f"{path}: {status} {body}"
        return json.loads(body)

    def metric(self, key):
        return self.json("/jsonmetrics")[key]

    def topic(self, name):
        """The row of /topics, or None."""
        return row(self.json("/topics")["topics"], "topic_id", name)

    def subscriber(self, subscriber_id):
        """The row of /subscribers, or None."""
        return row(self.json("/subscribers")["subscribers"], "id", subscriber_id)

    def await_topic(self, name, **fields):
        """Waits until the row of /topics has these values."""
        last = []

        def asked():
            last[:] = [self.topic(name)]
            return last[0] and all(last[0][k] == v for k, v in fields.items()) and last[0]

        try:
            return eventually(asked, f"{name} with {fields}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None

    def await_subscribers(self, *ids, limit=LIMIT):
        def asked():
            rows = self.json("/subscribers")["subscribers"]
            return sorted(found["id"] for found in rows) == sorted(ids)

        eventually(asked, f"exactly the subscribers {ids}", limit)

    def await_pause(self):
        """Waits for a moment without calls: what was on its way to somebody gone has come."""
        for purpose in ("heartbeat", "update-state"):
            key = f"subscriber-{purpose}.client-cache.clients-in-use"
            eventually(lambda key=key: self.metric(key) == 0, f"{key} is 0")

    # its service

    def client(self):
        return Client(self.port)

    def register(self, subscriber, **changes):
        """Registers on a connection of its own; fails unless accepted. Gives the response."""
        response = self.ask(subscriber, **changes)
        assert response.status.status_code == 0, response.status
        return response

    def ask(self, subscriber, **changes):
        """Registers, whatever comes of it."""
        with self.client() as client:
            return client.RegisterSubscriber(subscriber.request(**changes))

    def disable_network(self, disabled):
        with self.client() as client:
            request = ttypes.TSetStatestoreDebugActionRequest(disable_network=disabled)
            return client.SetStatestoreDebugAction(request)

    # its life

    def rss(self):
        """Resident memory in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self):
        """Ends it in order; the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode


class Client(StatestoreService.Client):
    """A connection to StatestoreService; a context that closes it."""

    def __init__(self, port):
        self.socket = TSocket("127.0.0.1", port)
        self.socket.setTimeout(LIMIT * 1000)
        self.transport = TBufferedTransport(self.socket)
        super().__init__(TBinaryProtocol(self.transport, strictRead=True, strictWrite=True))

    def __enter__(self):
        self.transport.open()
        return self

    def __exit__(self, *_):
        self.transport.close()


def row(rows, field, value):
    return next((found for found in rows if found[field] == value), None)


def text_of(unique_id):
    """hi:lo, as pages show ids."""
    mask = (1 << 64) - 1
    return f"{unique_id.hi & mask:016x}:{unique_id.lo & mask:016x}"
