"""Tests that show secrets in every way that a test has; run by `test_channel_matrix.py`."""

from __future__ import annotations

import base64
import collections
import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
import urllib.parse
import warnings
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secrets_of import KINDS, secret, secrets

LOG = logging.getLogger("leaky")
kinds = pytest.mark.parametrize("kind", KINDS)


def test_print():
    print(*secrets("print"), sep="\n")
    assert False


def test_print_error():
    print(*secrets("print_error"), sep="\n", file=sys.stderr)
    assert False


@pytest.mark.parametrize(
    "encode",
    [
        repr,
        ascii,
        json.dumps,
        escape,
        urllib.parse.quote,
        lambda text: repr(json.dumps(text)),
        lambda text: text[::-1],
        lambda text: text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le").decode("latin-1"),
        lambda text: base64.b64encode(b"x=" + text.encode()).decode(),
        lambda text: base64.b64encode(b"x" + text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: "\x1b[31m" + "\x1b[0m\x1b[32m".join(text) + "\x1b[0m",
        lambda text: repr("\x1b[31m" + "\x1b[0m\x1b[32m".join(text) + "\x1b[0m"),
        lambda text: f"\x1b]8;;http://x/{text}\x1b\\{text}\x1b]8;;\x1b\\",
    ],
)
def test_encoded(encode):
    for text in secrets("encoded"):
        print(encode(text))
    assert False


def test_pieces():
    for text in secrets("pieces"):
        for character in text:
            print(character, end="", flush=True)
    assert False


def test_log():
    for text in secrets("log"):
        LOG.warning("%s", text, extra={"more": text})
    assert False


def test_log_exception():
    for text in secrets("log_exception"):
        try:
            raise ValueError(text)
        except ValueError:
            LOG.exception("it failed")
    assert False


def test_warning():
    for text in secrets("warning"):
        warnings.warn(text)


@kinds
def test_equal(kind):
    assert secret("equal", kind) == "x" + secret("equal", kind)[1:]


@kinds
def test_equal_lines(kind):
    text = secret("equal_lines", kind)
    assert f"a\n{text}\nb\nc" == f"a\n{text[:-1]}\nb\nd"


@kinds
def test_equal_dict(kind):
    assert {"a": 1, "b": {"c": [secret("equal_dict", kind)]}} == {"a": 1, "b": {"c": []}}


@kinds
def test_equal_list(kind):
    assert [secret("equal_list", kind), 2, 3] == [1, 2, 3]


@kinds
def test_equal_bytes(kind):
    assert secret("equal_bytes", kind).encode() == b"x"


@kinds
def test_equal_set(kind):
    assert {secret("equal_set", kind)} == {1}


@kinds
def test_in(kind):
    assert secret("in", kind) not in f"before {secret('in', kind)} after"


@kinds
def test_dataclass(kind):
    @dataclasses.dataclass
    class Key:
        text: str
        size: int = 1

    assert Key(secret("dataclass", kind)) == Key("other")


@kinds
def test_named_tuple(kind):
    key = collections.namedtuple("key", "text size")
    assert key(secret("named_tuple", kind), 1) == key("other", 2)


@kinds
def test_raise(kind):
    raise ValueError(secret("raise", kind))


@kinds
def test_chain(kind):
    try:
        raise KeyError(secret("chain", kind))
    except KeyError as error:
        raise ValueError("other") from error


@kinds
def test_group(kind):
    raise ExceptionGroup("several", [ValueError(secret("group", kind)), TypeError("x")])


@kinds
def test_note(kind):
    error = ValueError("x")
    error.add_note(secret("note", kind))
    raise error


@kinds
def test_locals(kind):
    text = secret("locals", kind)
    assert len(text) == 0


@kinds
def test_fail(kind):
    pytest.fail(secret("fail", kind), pytrace=False)


@kinds
def test_skip(kind):
    pytest.skip(secret("skip", kind))


@kinds
def test_xfail(kind):
    pytest.xfail(secret("xfail", kind))


@pytest.mark.parametrize("text", [
    pytest.param(text, marks=pytest.mark.xfail(reason=text, strict=True), id=str(number))
    for number, text in enumerate(secrets("xpass"))
])  # fmt: skip
def test_xpass(text):
    pass


@kinds
def test_property_value(kind, record_property):
    record_property("text", secret("property_value", kind))


@kinds
def test_property_name(kind, record_property):
    record_property(secret("property_name", kind), "x")


@kinds
def test_property_object(kind, record_property):
    record_property("a", {"b": [secret("property_object", kind)]})


def test_suite_property(record_testsuite_property):
    for number, text in enumerate(secrets("suite_property")):
        record_testsuite_property(str(number), text)


@kinds
def test_attribute(kind, record_xml_attribute):
    record_xml_attribute("text", secret("attribute", kind))


@kinds
def test_section(kind, request):
    text = secret("section", kind)
    request.node.add_report_section("call", text, "x")
    request.node.add_report_section("call", "y", text)
    assert False


@pytest.mark.parametrize("text", secrets("id"))
def test_id(text, tmp_path):
    assert False


@kinds
def test_keyword(kind, request):
    request.node.extra_keyword_matches.add(secret("keyword", kind))
    request.node.keywords[secret("keyword", kind)] = 1


@kinds
def test_subtest(kind, subtests):
    with subtests.test(msg=secret("subtest", kind), text=secret("subtest", kind)):
        assert False


def test_file_descriptor():
    for text in secrets("file_descriptor"):
        os.write(1, text.encode() + b"\n")
        os.write(2, text.encode() + b"\n")
    assert False


def test_child():
    for text in secrets("child"):
        script = "import sys; print(sys.stdin.read())"
        subprocess.run([sys.executable, "-S", "-c", script], input=text, text=True, check=True)
    assert False


def test_original_stream():
    print(*secrets("original_stream"), sep="\n", file=sys.__stdout__, flush=True)
    assert False


@pytest.fixture
def broken_setup(kind):
    raise ValueError(secret("setup", kind))


@kinds
def test_setup(kind, broken_setup):
    pass


@pytest.fixture
def broken_teardown(kind):
    yield
    raise ValueError(secret("teardown", kind))


@kinds
def test_teardown(kind, broken_teardown):
    pass


@pytest.mark.filterwarnings("default")
@kinds
def test_thread(kind):
    def fail():
        raise ValueError(secret("thread", kind))

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


@pytest.mark.filterwarnings("default")
@kinds
def test_unraisable(kind):
    class Broken:
        def __del__(self):
            raise ValueError(secret("unraisable", kind))

    Broken()


@kinds
def test_hypothesis(kind):
    @settings(database=None, max_examples=2, print_blob=True)
    @given(st.just(secret("hypothesis", kind)))
    def check(text):
        assert text == ""

    check()


@kinds
def test_rich(kind):
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    Console(width=24, force_terminal=True).print(Panel(Text(secret("rich", kind), style="red")))
    assert False


def test_stop(request):
    """The last one: the run ends here, so that no CLM has to be loaded to complete it."""
    request.session.shouldstop = "done"
