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


def together(channel):
    return "\n".join(secrets(channel))


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


def test_dataclass():
    @dataclasses.dataclass
    class Key:
        text: str
        size: int = 1

    assert Key(together("dataclass")) == Key("other")


def test_named_tuple():
    key = collections.namedtuple("key", "text size")
    assert key(together("named_tuple"), 1) == key("other", 2)


def test_raise():
    raise ValueError(together("raise"))


def test_chain():
    try:
        raise KeyError(together("chain"))
    except KeyError as error:
        raise ValueError("other") from error


def test_group():
    raise ExceptionGroup("several", [ValueError(together("group")), TypeError("x")])


def test_note():
    error = ValueError("x")
    error.add_note(together("note"))
    raise error


def test_locals():
    text = together("locals")
    assert len(text) == 0


def test_fail():
    pytest.fail(together("fail"), pytrace=False)


def test_skip():
    pytest.skip(together("skip"))


def test_xfail():
    pytest.xfail(together("xfail"))


@pytest.mark.parametrize("text", [
    pytest.param(text, marks=pytest.mark.xfail(reason=text, strict=True), id=str(number))
    for number, text in enumerate(secrets("xpass"))
])  # fmt: skip
def test_xpass(text):
    pass


def test_properties(record_property):
    for text in secrets("property_value"):
        record_property("text", text)
    for text in secrets("property_name"):
        record_property(text, "x")
    record_property("a", {"b": secrets("property_object")})


def test_suite_property(record_testsuite_property):
    for number, text in enumerate(secrets("suite_property")):
        record_testsuite_property(str(number), text)


def test_attribute(record_xml_attribute):
    record_xml_attribute("text", together("attribute"))


def test_section(request):
    for text in secrets("section"):
        request.node.add_report_section("call", text, "x")
        request.node.add_report_section("call", "y", text)
    assert False


@pytest.mark.parametrize("text", secrets("id"))
def test_id(text, tmp_path):
    assert False


def test_keyword(request):
    for text in secrets("keyword"):
        request.node.keywords[text] = 1


def test_subtest(subtests):
    for text in secrets("subtest"):
        with subtests.test(msg=text, text=text):
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
def broken_setup():
    raise ValueError(together("setup"))


def test_setup(broken_setup):
    pass


@pytest.fixture
def broken_teardown():
    yield
    raise ValueError(together("teardown"))


def test_teardown(broken_teardown):
    pass


@pytest.mark.filterwarnings("default")
def test_thread():
    def fail():
        raise ValueError(together("thread"))

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


@pytest.mark.filterwarnings("default")
def test_unraisable():
    class Broken:
        def __del__(self):
            raise ValueError(together("unraisable"))

    Broken()


@kinds
def test_hypothesis(kind):
    @settings(database=None, max_examples=2, print_blob=True)
    @given(st.just(secret("hypothesis", kind)))
    def check(text):
        assert text == ""

    check()


def test_rich():
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    for text in secrets("rich"):
        Console(width=24, force_terminal=True).print(Panel(Text(text, style="red")))
    assert False


def test_stop(request):
    """The last one: the run ends here, so that no CLM has to be loaded to complete it."""
    request.session.shouldstop = "done"
