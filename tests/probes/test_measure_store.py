"""The store returns measures for the same key only, and never loses them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import command_line
import pytest
import tiny
from command_line import erasetest

from erasetest.clm import Clm, Sampler
from erasetest.errors import BadInput
from erasetest.probes import ProbeSettings, probe
from erasetest.probes.measure_store import ProbeStore, identity
from erasetest.samples import SensitiveSample, make_sample, write_manifest

SAMPLES = tiny.PLANTED[:3]
SETTINGS = ProbeSettings()


def _store(path: Path, clm: Clm, settings: ProbeSettings = SETTINGS) -> ProbeStore:
    return ProbeStore(path, identity(clm), settings.as_dict())


def _kept(path: Path) -> ProbeStore:
    clm = tiny.reciting("qwen2")
    store = _store(path, clm)
    store.put(SAMPLES, probe(clm, SAMPLES))
    return store


def test_what_was_kept_is_served(tmp_path: Path) -> None:
    """To the last bit, in any order, also in another process; None if one is missing."""
    clm = tiny.reciting("qwen2")
    clm.noise = 5.0
    measured = probe(clm, SAMPLES)
    assert any(secret.reach for sample in measured for secret in sample.secrets)
    store = _store(tmp_path / "s", clm)
    store.put(SAMPLES, measured)
    other = _store(tmp_path / "s", clm)
    assert other.get(SAMPLES) == measured
    assert other.get(SAMPLES[::-1]) == measured[::-1]
    assert other.get(tiny.PLANTED[:4]) is None
    assert other.get([]) == []


def test_nothing_of_another_clm_setting_or_sample_is_served(tmp_path: Path) -> None:
    """A change of files, dtype, sampler, decoys, content, spans or kinds is another key."""
    _kept(tmp_path / "s").close()
    clm = tiny.reciting("qwen2")
    assert _store(tmp_path / "s", clm).get(SAMPLES) is not None
    for settings in (
        ProbeSettings(Sampler(0.5)),
        ProbeSettings(Sampler(top_k=9)),
        ProbeSettings(references=4),
        ProbeSettings(starts=2),
        ProbeSettings(seed=1),
    ):
        assert _store(tmp_path / "s", clm, settings).get(SAMPLES) is None
    half = tiny.reciting("qwen2")
    half.model.bfloat16()
    assert _store(tmp_path / "s", half).get(SAMPLES) is None
    elsewhere = tiny.reciting("qwen2")
    elsewhere.model.to("meta")
    assert _store(tmp_path / "s", elsewhere).get(SAMPLES) is None
    other = replace(clm, fingerprint="other")
    assert _store(tmp_path / "s", other).get(SAMPLES) is None
    sample = SAMPLES[0]
    (secret,) = sample.secrets
    text, spans = sample.content.reveal(), (secret.start, secret.end, secret.kind)
    changed = [
        make_sample(text + " ", [spans], id=sample.id),
        make_sample(text, [(secret.start, secret.end - 1, secret.kind)], id=sample.id),
        make_sample(text, [(secret.start, secret.end, "other")], id=sample.id),
        make_sample(text, [spans], id="other"),
    ]
    store = _store(tmp_path / "s", clm)
    assert store.get([make_sample(text, [spans], id=sample.id)]) is not None
    assert all(store.get([one]) is None for one in changed)


def test_nothing_of_another_version_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measures of another version of the definitions are computed again."""
    _kept(tmp_path / "s").close()
    monkeypatch.setattr("erasetest.probes.measure_store._VERSION", 0)
    assert _store(tmp_path / "s", tiny.reciting("qwen2")).get(SAMPLES) is None


def test_a_store_holds_no_secret(tmp_path: Path) -> None:
    """Neither the secret nor an unkeyed hash that a guess could be compared with."""
    import hashlib

    _kept(tmp_path / "s").close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for sample in SAMPLES:
        secret = sample.secrets[0].text.reveal()
        assert sample.id.encode() in raw
        for i in range(len(secret) - 7):
            assert secret[i : i + 8].encode() not in raw
        for name in ("md5", "sha1", "sha256", "blake2b"):
            for text in (secret, sample.content.reveal()):
                assert hashlib.new(name, text.encode()).hexdigest()[:16].encode() not in raw


@pytest.mark.parametrize("content", [b"not a database at all, but some text" * 40, b"\0" * 4096])
def test_a_damaged_store_is_named(tmp_path: Path, content: bytes) -> None:
    """The message has one line, and the file is unchanged."""
    path = tmp_path / "s"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        _store(path, tiny.reciting("qwen2"))
    assert f"{path}: is not a store of measures, or is damaged" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert path.read_bytes() == content


def test_a_store_with_torn_rows_is_named(tmp_path: Path) -> None:
    """Rows that the store did not write."""
    _kept(tmp_path / "s").close()
    with sqlite3.connect(tmp_path / "s") as file:
        file.execute("UPDATE measured SET row = substr(row, 1, 20)")
    with pytest.raises(BadInput, match="is damaged"):
        _store(tmp_path / "s", tiny.reciting("qwen2")).get(SAMPLES)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A missing folder, a folder, and a file system that allows no new files."""
    for path in (tmp_path / "none" / "s", tmp_path, Path("/proc/s")):
        with pytest.raises(BadInput, match=r"stored there: .*name another file") as caught:
            _store(path, tiny.reciting("qwen2"))
        assert str(path) in str(caught.value)


def test_a_store_is_a_file_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under a name that SQLite reserves for a database in memory."""
    monkeypatch.chdir(tmp_path)
    _kept(Path(":memory:")).close()
    assert _store(Path(":memory:"), tiny.reciting("qwen2")).get(SAMPLES) is not None
    assert (tmp_path / ":memory:").is_file()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The write fails completely, with a reason; earlier measures are still returned."""
    store = _kept(tmp_path / "s")
    clm = tiny.reciting("qwen2")
    store._file.execute("PRAGMA max_page_count = 1")
    many = [replace(SAMPLES[0], id=str(number)) for number in range(300)]
    with pytest.raises(BadInput, match="the disk is full"):
        store.put(many, probe(clm, many[:1]) * 300)
    store.close()
    again = _store(tmp_path / "s", clm)
    assert again.get(SAMPLES) is not None
    assert again.get(many[:1]) is None
    again.put(many[:1], probe(clm, many[:1]))


_HOLD = """
import sqlite3, sys, time
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(1)
file.execute(
    "INSERT INTO measured SELECT clm, settings, 'theirs', content, row FROM measured LIMIT 1"
)
file.execute("COMMIT")
"""


def test_two_processes_share_a_store(tmp_path: Path) -> None:
    """One waits while the other writes; each reads what the other stored."""
    store = _kept(tmp_path / "s")
    clm = tiny.reciting("qwen2")
    measured = probe(clm, SAMPLES)
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    named = [replace(sample, id=f"mine-{sample.id}") for sample in SAMPLES]
    store.put(named, measured)
    assert other.wait(20) == 0
    assert store.get(named) == measured
    assert store.get([replace(SAMPLES[0], id="theirs")]) is not None


# The command


def _place(folder: Path, samples: list[SensitiveSample]) -> list[str]:
    tiny.save(tiny.reciting("qwen2"), folder / "clm")
    write_manifest(folder / "s.jsonl", samples)
    return ["probe", "s.jsonl", "--clm", "clm", "--references", "2"]


def _rows(path: Path) -> int:
    if not path.exists():
        return 0
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        try:
            return int(file.execute("SELECT count(*) FROM measured").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


@pytest.mark.slow
def test_a_probe_that_was_killed_goes_on_and_writes_the_same_file(tmp_path: Path) -> None:
    """kill -9 after some blocks leaves no output; the resumed run writes the uninterrupted file."""
    samples = [replace(sample, id=f"{sample.id}-{n}") for n in range(60) for sample in tiny.PLANTED]
    command = _place(tmp_path, samples)
    run = command_line.start(
        "erasetest.cli", *command, "-o", "out.jsonl", cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    store = tmp_path / ".out.jsonl.erasetest-store"
    deadline = time.monotonic() + 60
    while _rows(store) < 64 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept = _rows(store)
    assert 64 <= kept < len(samples)
    assert not (tmp_path / "out.jsonl").exists()
    assert len(list(tmp_path.glob(".out.jsonl.erasetest-tmp-*"))) == 1
    for output in ("out.jsonl", "whole.jsonl"):
        done = erasetest(*command, "-o", output, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {
        "clm", "s.jsonl", "out.jsonl", "whole.jsonl",
    }  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [sample.id for sample in samples]
    assert all("exposure" in row["measures"] for row in rows)


def test_a_store_of_the_users_own_stays(tmp_path: Path) -> None:
    """A store given by --store is used by the next run, which measures nothing again."""
    command = [*_place(tmp_path, list(tiny.PLANTED)), "--store", "mine.db"]
    for output in ("one.jsonl", "two.jsonl"):
        if output == "two.jsonl":
            # Changed, so that the test sees whether rows come from the store.
            with sqlite3.connect(tmp_path / "mine.db") as file:
                file.execute("UPDATE measured SET row = replace(row, '\"ma\": 1.0', '\"ma\": 0.5')")
        done = erasetest(*command, "-o", output, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two = ((tmp_path / name).read_text() for name in ("one.jsonl", "two.jsonl"))
    assert one.replace('"ma": 1.0', '"ma": 0.5') == two != one


def test_measures_can_go_down_a_pipe(tmp_path: Path) -> None:
    """Standard output has only rows; messages go to standard error."""
    command = _place(tmp_path, list(tiny.PLANTED))
    done = erasetest(*command, "-o", "/dev/stdout", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == len(tiny.PLANTED)
    assert "8 samples" in done.stderr
