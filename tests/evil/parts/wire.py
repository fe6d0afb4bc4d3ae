"""Put before programs that attack the connection to the test: finds it, and speaks its protocol."""

import os
import sys


def _in_callers(find):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.items()):
            if find(*value):
                return value[1]
        frame = frame.f_back
    raise LookupError


def connection():
    return _in_callers(lambda name, value: type(value).__name__ == "Connection")


def ask(question, *arguments):
    return connection().ask(question, *arguments)


def sized(tag, data):
    return tag + len(data).to_bytes(4, "little") + data


def name(text):
    return sized(b"n", text.encode())


def mine(number):
    return b"m" + number.to_bytes(8, "little")


def yours(number):
    return b"y" + number.to_bytes(8, "little")


def text(value):
    return sized(b"s", value.encode())


def integer(value):
    return sized(b"i", value.to_bytes(8, "little", signed=True))


def several(tag, *items):
    count = len(items) // 2 if tag == b"d" else len(items)
    return tag + count.to_bytes(4, "little") + b"".join(items)


def row(*items):
    return several(b"t", *items)


def built(what, *parts):
    return sized(b"x", what.encode()) + row(*parts)


NOTHING = several(b"d")


def send(kind, data, to=None):
    if to is None:
        to = connection()._outgoing
    data = kind + data
    os.write(to, len(data).to_bytes(4, "little") + data)


def ask_bytes(*parts):
    send(b"q", row(*parts))
    return connection()._receive()[1]


def answer_bytes(data):
    """Answer the call that this program is in; what it returns then is one answer too many."""
    send(b"a", data)
