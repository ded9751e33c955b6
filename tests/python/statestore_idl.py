"""The Python code that thrift-compiler makes of idl/statestore.thrift, and whole messages of it.

The code goes to target/gen-py and is never committed. Tests import `ttypes` and the services from
here: `from statestore_idl import ttypes, StatestoreService`.
"""

import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.TTransport import TMemoryBuffer

ROOT = pathlib.Path(__file__).resolve().parents[2]
IDL = ROOT / "idl" / "statestore.thrift"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
TYPES = {
    "call": TMessageType.CALL,
    "reply": TMessageType.REPLY,
    "exception": TMessageType.EXCEPTION,
}


def _generate():
    """Generates anew when the IDL has changed; whole or not at all, for tests run side by side."""
    place = TARGET / "gen-py"
    stamp = place / "statestore.thrift"
    if stamp.exists() and stamp.read_bytes() == IDL.read_bytes():
        return place
    TARGET.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix="gen-py-", dir=TARGET))
    subprocess.run(["thrift", "--gen", "py", "-out", str(fresh), str(IDL)], check=True)
    shutil.copyfile(IDL, fresh / IDL.name)
    shutil.rmtree(place, ignore_errors=True)
    try:
        fresh.rename(place)
    except OSError:  # another test was faster
        shutil.rmtree(fresh)
    return place


sys.path.insert(0, str(_generate()))
ttypes = importlib.import_module("statestore.ttypes")
StatestoreService = importlib.import_module("statestore.StatestoreService")
StatestoreSubscriber = importlib.import_module("statestore.StatestoreSubscriber")
StatestoreHaService = importlib.import_module("statestore.StatestoreHaService")

METHODS = {
    method: service
    for service in (StatestoreService, StatestoreSubscriber, StatestoreHaService)
    for method in vars(service.Iface)
    if not method.startswith("_")
}


def _body(method, kind):
    """The struct class behind an envelope, and the name of its one field."""
    if kind == "exception":
        return TApplicationException, None
    suffix, field = ("args", "params") if kind == "call" else ("result", "success")
    return getattr(METHODS[method], f"{method}_{suffix}"), field


def struct_class(method, kind):
    """The request (kind `call`) or response (`reply`) class of a method."""
    body, field = _body(method, kind)
    return next(spec[3][0] for spec in body.thrift_spec if spec and spec[2] == field)


def encode(method, kind, content, seqid=0):
    """A whole message: strict envelope, argument or result struct."""
    body, field = _body(method, kind)
    out = TMemoryBuffer()
    protocol = TBinaryProtocol(out)
    protocol.writeMessageBegin(method, TYPES[kind], seqid)
    (body(**{field: content}) if field else content).write(protocol)
    protocol.writeMessageEnd()
    return out.getvalue()


def decode(data):
    """(method, kind, content, seqid) of one whole message; raises if anything is left over."""
    source = TMemoryBuffer(data)
    protocol = TBinaryProtocol(source)
    method, message_type, seqid = protocol.readMessageBegin()
    kind = next(kind for kind, value in TYPES.items() if value == message_type)
    body, field = _body(method, kind)
    content = body()
    content.read(protocol)
    left = source.read(len(data))
    if left:
        raise ValueError(f"{method} {kind}: {len(left)} bytes left over")
    content = getattr(content, field) if field else content
    if field:
        content.validate()
    return method, kind, content, seqid
