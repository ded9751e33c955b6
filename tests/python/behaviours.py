"""How a subscriber meets a call: well, badly, late, or not at all.

A behaviour is a function of a call and its subscriber that gives the bytes to send (in parts, if
it likes), or None to close the connection; it may wait as long as the test wants. The default,
`answer`, publishes what is due and keeps the subscriber's mirror of its topics.
"""

import threading

from thrift.Thrift import TApplicationException

from statestore_idl import encode, struct_class, ttypes


def answer(code=0, skipped=None, after=None, text="no", **fields):
    """A well-formed answer, after an event if one is given."""

    def behave(call, subscriber):
        status = ttypes.TStatus(status_code=code, error_msgs=[text] if code else [])
        content = struct_class(call.method, "reply")(status=status, **fields)
        if call.method == "UpdateState":
            if content.topic_updates is None:
                content.topic_updates = subscriber.due(call)
            if code == 0 and not skipped:
                subscriber.apply(call)
        if call.method != "Heartbeat" and skipped is not None:
            content.skipped = skipped
        if after is not None and not call.wait(after):
            return None
        return call.reply(content)

    return behave


def hang(call, _subscriber):
    """Never answers; the connection stays open."""
    call.wait(threading.Event())


def close(_call, _subscriber):
    """Closes the connection instead of an answer."""


def cut(call, subscriber):
    """Closes in the middle of the answer."""
    return Last(answer()(call, subscriber)[:-7])


def garbage(data):
    return lambda _call, _subscriber: data


def lie(call, _subscriber):
    """Announces a string of 2 GiB and sends eight bytes of it."""
    good = call.reply(struct_class(call.method, "reply")(status=ttypes.TStatus(0, ["x" * 8])))
    return good.replace(b"\x00\x00\x00\x08xxxxxxxx", b"\x7f\xff\xff\xffxxxxxxxx")


def crowd(call, _subscriber):
    """Announces a list of two thousand million elements that are not there."""
    good = call.reply(struct_class(call.method, "reply")(status=ttypes.TStatus(0, [])))
    head = b"\x0f\x00\x02\x0b"
    return good.replace(head + b"\x00\x00\x00\x00", head + b"\x7f\xff\xff\xff")


def other_method(call, _subscriber):
    """Answers a call that nobody made."""
    content = ttypes.TUpdateCatalogdResponse(status=ttypes.TStatus(0, []))
    return encode("UpdateCatalogd", "reply", content, call.seqid)


def field_missing(call, _subscriber):
    """Leaves out a required field: topic_updates of UpdateState, status of the others."""
    content = struct_class(call.method, "reply")()
    if call.method == "UpdateState":
        content.status = ttypes.TStatus(0, [])
    return call.reply(content)


def no_result(call, _subscriber):
    """A reply without `success`."""
    return call.reply(None)


def exception(text="no", kind=TApplicationException.UNKNOWN):
    return lambda call, _subscriber: encode(
        call.method, "exception", TApplicationException(kind, text), call.seqid)


def drip(call, subscriber):
    """Sends a good answer, a byte each tenth of a second."""
    pause = threading.Event()
    for byte in answer()(call, subscriber):
        yield bytes([byte])
        pause.wait(0.1)


class Last(bytes):
    """Sent, and then the connection is closed."""
