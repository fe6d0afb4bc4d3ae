"""A CLM behind a completions endpoint, served by a real process."""

from __future__ import annotations

import email.utils
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny
from command_line import ENVIRONMENT, run
from gate_runs import SUITES, run_pytest

from erasetest.endpoint import Endpoint, EndpointOptions, probe_endpoint
from erasetest.endpoint.client import KEY, _scored
from erasetest.errors import BadInput, ClmError, MissingExtra
from erasetest.probes import probe
from erasetest.samples import make_sample, write_manifest

pytest.importorskip("httpx")

HERE = Path(__file__).parents[1] / "helpers"
ASCII = [s for s in tiny.PLANTED if s.content.reveal().isascii()]
"""Byte-level tokenizers can split other characters, where offsets are ambiguous."""


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[str], str]]:
    """A server; the value is a function from a mode to its URL."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "endpoint_server.py")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert process.stdout is not None
    port = int(process.stdout.readline())
    yield lambda mode: f"http://127.0.0.1:{port}/{mode}/v1"
    process.kill()
    process.wait()


def test_greedy_extraction_is_that_of_the_clm_itself(serve: Callable[[str], str]) -> None:
    """An endpoint extracts the same secrets as the probe of the CLM."""
    inside = probe(tiny.reciting("qwen2"), ASCII)
    outside = probe_endpoint(Endpoint(serve("plain"), EndpointOptions(samples=1)), ASCII)
    assert [m.id for m in outside] == [m.id for m in inside]
    for one, other in zip(outside, inside, strict=True):
        assert one.secrets[0].problem is None
        if other.measures["extracted"]:
            assert one.measures["extracted"]
    assert sum(bool(m.measures["extracted"]) for m in outside) < len(outside)


def test_the_share_of_samples_bounds_the_probability(serve: Callable[[str], str]) -> None:
    """The interval contains the true probability; without a hit only its upper end is finite."""
    inside = probe(tiny.reciting("qwen2"), ASCII)
    outside = probe_endpoint(Endpoint(serve("plain"), EndpointOptions(samples=60)), ASCII)
    held = 0
    for one, other in zip(outside, inside, strict=True):
        low, high = one.secrets[0].reach["log2_p"]
        held += low <= other.measures["log2_p"] <= high
        few, many = one.secrets[0].reach["queries_50"]
        assert few <= one.measures["queries_50"] <= many
    # Of a few intervals of 95 %, one may miss the true value.
    assert held >= len(outside) - 1
    assert any(m.measures["queries_50"] < float("inf") for m in outside)
    assert any(m.secrets[0].reach["queries_50"][1] == float("inf") for m in outside)


def test_scores_of_the_server_are_exact(serve: Callable[[str], str]) -> None:
    """If prompts are echoed with log-probabilities, MA and the probability are exact."""
    inside = probe(tiny.reciting("qwen2"), ASCII)
    outside = probe_endpoint(Endpoint(serve("echo"), EndpointOptions(samples=1)), ASCII)
    for one, other in zip(outside, inside, strict=True):
        assert one.secrets[0].reach == {}
        assert one.measures["log2_p"] == pytest.approx(other.measures["log2_p"], abs=1e-3)
        assert one.measures["ma"] == pytest.approx(other.measures["ma"], abs=1e-6)


def test_a_busy_server_is_waited_for(
    serve: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 with and 503 without `Retry-After` are retried, with the same results."""
    pauses: list[float] = []
    monkeypatch.setattr("erasetest.endpoint.client.time.sleep", pauses.append)
    endpoint = Endpoint(serve("busy"), EndpointOptions(samples=1))
    found = probe_endpoint(endpoint, ASCII[:2])
    plain = probe_endpoint(Endpoint(serve("plain"), EndpointOptions(samples=1)), ASCII[:2])
    assert found == plain
    assert endpoint.requests >= 3 * 4
    assert pauses[::2] == [7.0] * (len(pauses) // 2)
    assert all(0.375 <= pause <= 0.625 for pause in pauses[1::2])


def test_how_long_a_server_asks_to_wait(serve: Callable[[str], str]) -> None:
    """Seconds or a date, at most a minute; otherwise exponential back-off."""
    endpoint = Endpoint(serve("plain"))
    soon = email.utils.formatdate(time.time() + 20, usegmt=True)
    for retry_after, low, high in (
        ("12", 12, 12), (soon, 15, 21), ("99999", 60, 60), ("-3", 0, 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0), ("soon", 0.75, 1.25), (None, 0.75, 1.25),
    ):  # fmt: skip
        endpoint._retry_after = retry_after
        assert low <= endpoint._pause_before(3) <= high


def test_another_clm_behind_the_same_name_is_another(serve: Callable[[str], str]) -> None:
    """Its completion of the fixed prompt differs."""
    plain, again, changed = (Endpoint(serve(mode)) for mode in ("plain", "echo", "changed"))
    assert plain.model == changed.model
    assert plain.fingerprint == again.fingerprint != changed.fingerprint


@pytest.mark.parametrize(
    ("mode", "options", "said"),
    [
        ("slow", EndpointOptions(timeout=0.3, tries=2), "gives no answer within 0.3 s, 2 times"),
        ("locked", EndpointOptions(), f"answers 401: set {KEY}"),
        ("broken", EndpointOptions(), "something that is not JSON"),
        ("two", EndpointOptions(), "serves 2 models (tiny, other): name one as"),
        ("shapes", EndpointOptions(), "answers without a list of choices"),
    ],
)
def test_a_server_that_cannot_be_used_is_named(
    serve: Callable[[str], str], mode: str, options: EndpointOptions, said: str
) -> None:
    """The message has one line, without prompt or secret."""
    url = serve(mode)
    with pytest.raises(ClmError) as caught:
        probe_endpoint(Endpoint(url, options), ASCII[:1])
    message = str(caught.value)
    assert said in message
    assert url in message
    assert len(message.splitlines()) == 1
    assert "AKIA" not in message


def test_one_of_two_models_is_named_in_the_url(serve: Callable[[str], str]) -> None:
    """The fragment of the URL names the model."""
    assert Endpoint(f"{serve('two')}#other").model == "other"


def test_nobody_there() -> None:
    """The request is retried; then the error is reported."""
    with pytest.raises(ClmError, match="cannot be reached"):
        Endpoint("http://127.0.0.1:9/v1", EndpointOptions(tries=2))


def test_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch, serve: Callable[[str], str]) -> None:
    """It comes from the environment; in a URL it is refused without being repeated."""
    with pytest.raises(BadInput, match=KEY) as caught:
        Endpoint("http://me:s3cretkey@127.0.0.1/v1")
    assert "s3cretkey" not in str(caught.value)
    monkeypatch.setenv(KEY, "s3cretkey")
    endpoint = Endpoint(serve("plain"))
    assert "s3cretkey" not in repr(endpoint) + json.dumps(endpoint.describe())
    assert endpoint._client.headers["authorization"] == "Bearer s3cretkey"


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the pip command."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'erasetest\[endpoint\]'"):
        Endpoint("http://127.0.0.1:9/v1")


def test_a_secret_at_the_start_is_a_problem(serve: Callable[[str], str]) -> None:
    """There is no text to prompt with."""
    (found,) = probe_endpoint(Endpoint(serve("plain")), [make_sample("abcdefghij", [(0, 5, "k")])])
    assert found.secrets[0].problem == "it has no text before it to prompt with"


def test_the_command_probes_an_endpoint(serve: Callable[[str], str], tmp_path: Path) -> None:
    """`erasetest probe --clm URL`; the other commands refuse one."""
    write_manifest(tmp_path / "s.jsonl", ASCII)
    arguments = ["s.jsonl", "--clm", serve("plain"), "-o", "m.jsonl", "--queries", "3"]
    done = run("erasetest.cli", "probe", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [sample.id for sample in ASCII]
    assert any(row["measures"]["extracted"] for row in rows)
    done = run("erasetest.cli", "calibrate", "--clm", serve("plain"), "-o", "t.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "is an endpoint, which can only be probed" in done.stderr


def test_a_gate_on_an_endpoint(serve: Callable[[str], str], tmp_path: Path) -> None:
    """Extracted secrets leak; without them the gate is clean; erasing needs a checkpoint."""
    inside = {m.id: m for m in probe(tiny.reciting("qwen2"), ASCII)}
    known = [s for s in ASCII if inside[s.id].measures["extracted"]]
    unknown = [s for s in ASCII if inside[s.id].measures["log2_p"] < -25]
    assert known
    assert unknown
    common = [str(SUITES), f"--clm={serve('plain')}", "--leak-queries=2", "--leak-report=r.json"]
    for samples, status, verdict in ((known, 1, "leaks"), (unknown, 0, "clean")):
        write_manifest(tmp_path / "s.jsonl", samples)
        done = run_pytest(*common, "--leak-samples=s.jsonl", cwd=tmp_path)
        assert done.returncode == status, done.stdout
        report = json.loads((tmp_path / "r.json").read_text())
        assert report["verdict"] == verdict
        assert report["clm"]["family"] == "endpoint"
    done = run_pytest(
        *common, "--leak-samples=s.jsonl", "--erase", "--erase-retain=s.jsonl", cwd=tmp_path
    )
    assert done.returncode == 4
    assert "need its checkpoint" in done.stdout + done.stderr


def test_a_gate_on_nobody_is_a_usage_error(tmp_path: Path) -> None:
    """The exit status is 4, and the message has one line."""
    write_manifest(tmp_path / "s.jsonl", ASCII[:1])
    done = run_pytest(
        str(SUITES), "--clm=http://127.0.0.1:9/v1", "--leak-samples=s.jsonl", cwd=tmp_path
    )
    assert done.returncode == 4
    assert "cannot be reached" in done.stdout


def test_bad_input_is_a_bad_input() -> None:
    """Commands report a `BadInput` in one line."""
    assert issubclass(ClmError, BadInput)


def test_a_secret_that_the_server_refuses_is_a_problem_of_its_own(
    serve: Callable[[str], str],
) -> None:
    """A prompt longer than the server's window does not stop the run."""
    long = make_sample("x" * 400 + " abcdefgh", [(401, 409, "k")], id="long")
    found = probe_endpoint(Endpoint(serve("short"), EndpointOptions(samples=1)), [long, *ASCII[:1]])
    assert "the server refuses the request" in str(found[0].secrets[0].problem)
    assert found[1].secrets[0].problem is None


def test_a_server_that_gives_one_text_whatever_is_asked(serve: Callable[[str], str]) -> None:
    """Each sample is requested separately, with a different seed."""
    endpoint = Endpoint(serve("single"))
    texts = {c.text for c in endpoint.complete("x = ", samples=5, tokens=8, temperature=1.0)}
    assert endpoint.requests == 1 + 5
    assert len(texts) > 1


@pytest.mark.parametrize(
    "scores",
    [None, [], {"tokens": None}, {"tokens": ["a"], "text_offset": [0], "token_logprobs": ["x"]},
     {"tokens": ["a"], "text_offset": [0], "token_logprobs": [0.1], "top_logprobs": [3]},
     {"tokens": ["a", "b"], "text_offset": [0], "token_logprobs": [0.1]}],
)  # fmt: skip
def test_scores_of_another_form_are_none(scores: object) -> None:
    """Malformed scores are ignored, and samples are used instead."""
    assert _scored({"text": "a", "logprobs": scores}) is None
    assert _scored({"text": None, "logprobs": {}}) is None


@pytest.mark.parametrize("name", ["http://[::1", "http://h/v1?key=s3cret", "http://"])
def test_a_url_that_cannot_be_asked(name: str) -> None:
    """The message has one line, without the query."""
    with pytest.raises(BadInput) as caught:
        Endpoint(name, EndpointOptions(tries=1))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["ké", "a\nb"])
def test_a_key_that_is_none(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """The message names the variable, not the key; surrounding white space is removed."""
    monkeypatch.setenv(KEY, key)
    with pytest.raises(ClmError, match=KEY) as caught:
        Endpoint("http://127.0.0.1:9/v1")
    assert key not in str(caught.value)


def test_nothing_of_an_endpoint_is_kept_for_another_run(
    serve: Callable[[str], str], tmp_path: Path
) -> None:
    """A given store is refused, since the CLM behind a URL can change."""
    write_manifest(tmp_path / "s.jsonl", ASCII[:1])
    done = run("erasetest.cli", "probe", "s.jsonl", "--clm", serve("plain"), "-o", "m.jsonl",
                "--store", "mine.db", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 2
    assert "can change unseen" in done.stderr
    done = run_pytest(
        str(SUITES),
        f"--clm={serve('plain')}",
        "--leak-samples=s.jsonl",
        "--leak-store=mine.db",
        cwd=tmp_path,
    )
    assert done.returncode == 4


@pytest.mark.parametrize("url", ["http://me:s3cretkey@127.0.0.1:9/v1", "http://me:s3cretkey@[::1"])
def test_a_key_in_a_url_is_refused_before_anything_shows_it(url: str, tmp_path: Path) -> None:
    """Neither the header of a gate nor a message of a command contains it."""
    write_manifest(tmp_path / "s.jsonl", ASCII[:1])
    gate = run_pytest(str(SUITES), f"--clm={url}", "--leak-samples=s.jsonl", cwd=tmp_path)
    command = run("erasetest.cli", "probe", "s.jsonl", "--clm", url, "-o", "m.jsonl", cwd=tmp_path)
    assert (gate.returncode, command.returncode) == (4, 2)
    assert "s3cretkey" not in gate.stdout + gate.stderr + command.stdout + command.stderr
