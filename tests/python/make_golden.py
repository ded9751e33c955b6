"""Writes crates/wire/tests/golden/python.jsonl: every message as Python's thrift encodes it.

For each request and response of the IDL: every field set, only what is required, and each
optional field alone, with plain, empty and extreme values. `lines()` is what the file holds.
"""

import json
import sys

from statestore_idl import METHODS, ROOT, encode, struct_class
from thrift.Thrift import TApplicationException, TType
from thrift.protocol.TProtocol import TProtocolException

GOLDEN = ROOT / "crates" / "wire" / "tests" / "golden" / "python.jsonl"

# Fields that a writer of the protocol always writes though a reader may miss them (wire.md 2).
ALWAYS_WRITTEN = {("THeartbeatRequest", "protocol_version"), ("TStatus", "error_msgs")}

INTEGERS = {TType.I32: 32, TType.I64: 64}


def integer(bits, field_id, flavour):
    if flavour == "extreme":
        return -(1 << (bits - 1)) if field_id % 2 else (1 << (bits - 1)) - 1
    return 0 if flavour == "empty" else field_id * 0x01020304 + (bits == 64) * (field_id << 40)


def text(name, binary, flavour):
    if binary:
        return {"plain": name.encode(), "empty": b"", "extreme": bytes(range(256))}[flavour]
    return {"plain": f"the {name}", "empty": "", "extreme": "1:Größe/∞\0" * 3}[flavour]


def value(ttype, args, name, field_id, flavour, build):
    """A value of a thrift_spec's type; `build` makes the structs inside."""
    def count(most):
        return {"plain": 1, "empty": 0, "extreme": most}[flavour]

    if ttype in INTEGERS:
        return integer(INTEGERS[ttype], field_id, flavour)
    if ttype == TType.BOOL:
        return flavour != "empty"
    if ttype == TType.STRING:
        return text(name, args == "BINARY", flavour)
    if ttype == TType.STRUCT:
        return build(args[0], flavour)
    if ttype == TType.LIST:
        return [value(args[0], args[1], name, i, flavour, build) for i in range(count(4))]
    if ttype == TType.MAP:
        key, key_args, item, item_args = args[:4]
        return {
            value(key, key_args, name, i, flavour, build) + str(i):
                value(item, item_args, name, i, flavour, build)
            for i in range(count(3))
        }
    raise TypeError(f"{name}: type {ttype} is in no message of ours")


def fields(cls):
    return [spec for spec in cls.thrift_spec if spec]


def full(cls, flavour):
    content = cls()
    for field_id, ttype, name, args, _ in fields(cls):
        setattr(content, name, value(ttype, args, name, field_id, flavour, full))
    return content


def is_required(cls, name):
    content = full(cls, "plain")
    setattr(content, name, None)
    try:
        content.validate()
    except TProtocolException:
        return True
    return False


def optionals(cls):
    return [
        spec for spec in fields(cls)
        if (cls.__name__, spec[2]) not in ALWAYS_WRITTEN and not is_required(cls, spec[2])
    ]


def minimal(cls, flavour):
    content = cls()
    for field_id, ttype, name, args, _ in fields(cls):
        setattr(content, name, value(ttype, args, name, field_id, flavour, minimal))
    for spec in optionals(cls):
        setattr(content, spec[2], None)
    return content


def variants(cls):
    for flavour in ("plain", "empty", "extreme"):
        yield full(cls, flavour)
        yield minimal(cls, flavour)
        for field_id, ttype, name, args, _ in optionals(cls):
            content = minimal(cls, "plain")
            setattr(content, name, value(ttype, args, name, field_id, flavour, full))
            yield content


def line(method, kind, data):
    return json.dumps({"method": method, "type": kind, "hex": data.hex()}) + "\n"


def lines():
    made = {}  # without repetitions, in order
    for method in METHODS:
        for kind in ("call", "reply"):
            for content in variants(struct_class(method, kind)):
                made[line(method, kind, encode(method, kind, content))] = None
        for error in range(8):
            exception = TApplicationException(error, f"Invalid method name: '{method}'")
            data = encode(method, "exception", exception, seqid=error)
            made[line(method, "exception", data)] = None
    return list(made)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(f"usage: {sys.argv[0]} (no arguments; check_golden.py compares)")
    GOLDEN.write_text("".join(lines()))
