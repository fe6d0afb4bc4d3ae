"""Scans of corpora to samples."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, Source, read_manifest
from erasetest.scanning import Rules, ScanSettings, ScanSummary, Skipped, corpus_scan, scan_to
from erasetest.scanning.corpus_scan import journal_path
from erasetest.scanning.scan_job import JobScanner
from erasetest.scanning.sources import Job, Text

VALUE = "k7Qm" + "2vXw9"
GITHUB = GENERATORS["github-token"](random.Random(1))
LINE = "value = compute(value) + 1\n"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERASETEST_ID_KEY", "of these tests")


def scanned(
    *paths: Path, settings: ScanSettings | None = None
) -> tuple[ScanSummary, list[SensitiveSample], list[Skipped]]:
    """Return what a scan reports, writes and skips."""
    output = paths[0].parent / "found.jsonl"
    skipped: list[Skipped] = []
    output.unlink(missing_ok=True)
    result = scan_to(output, paths, settings, on_skipped=skipped.append)
    assert not journal_path(output).exists()
    return result, read_manifest(output) if output.exists() else [], skipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


def test_a_file_with_secrets_becomes_a_sample_with_its_source(folder: Path) -> None:
    text = f'# naïve 🦉\r\n\r\nTOKEN = "{GITHUB}"\r\npassword = "{VALUE}"\r\n'
    (folder / "a.py").write_bytes(text.encode())
    (folder / "b.py").write_text(LINE)
    result, (sample,), skipped = scanned(folder)
    assert sample.content.reveal() == text
    assert [(secret.kind, secret.text.reveal()) for secret in sample.secrets] == [
        ("github-token", GITHUB),
        ("password", VALUE),
    ]
    assert [dict(secret.extra) for secret in sample.secrets] == [
        {"confidence": "high", "occurrences": 1},
        {"confidence": "medium", "occurrences": 1},
    ]
    assert all(text[s.start : s.end] == s.text.reveal() for s in sample.secrets)
    assert sample.source == Source((folder / "a.py").as_posix(), 3)
    assert (result.texts, result.found, result.written, result.secrets) == (2, 1, 1, 2)
    assert result.places == {"github-token": 1, "password": 1}
    assert skipped == []


def test_samples_of_a_large_file_have_their_secrets_at_the_right_places(folder: Path) -> None:
    text = "".join(LINE * 150 + f"# é\npassword = '{VALUE}{n}'\n" for n in range(4))
    (folder / "a.py").write_text(text)
    result, samples, _ = scanned(folder / "a.py")
    assert [len(sample.secrets) for sample in samples] == [1] * 4
    for number, sample in enumerate(samples):
        (secret,) = sample.secrets
        assert sample.content.reveal()[secret.start : secret.end] == f"{VALUE}{number}"
        assert sample.source is not None
        assert sample.source.line == 152 * (number + 1)
    assert result.places == {"password": 4}


def test_files_in_any_encoding_are_scanned_and_a_guess_is_reported(folder: Path) -> None:
    text = f'größe = 1; TOKEN = "{GITHUB}"\n'
    for name, encoding in {"a": "utf-8-sig", "b": "utf-16", "c": "latin-1"}.items():
        (folder / f"{name}.py").write_bytes((f"# {name}\n" * 9 + text).encode(encoding))
    settings = ScanSettings(near_duplicates=True)
    result, samples, _ = scanned(folder, settings=settings)
    assert [sample.secrets[0].start for sample in samples] == [36 + text.index(GITHUB)] * 3
    assert result.guessed.first == [(folder / "c.py").as_posix()]


def test_what_is_not_scanned_is_named_with_its_reason(folder: Path) -> None:
    (folder / "binary.py").write_bytes(b"\0\1\2")
    (folder / "broken.py").write_bytes(b"\xff\xfea")
    (folder / "link.py").symlink_to(folder / "binary.py")
    (folder / "long.js").write_text(f'{LINE}{"x" * 100_000}\nTOKEN = "{GITHUB}"\n')
    result, (sample,), skipped = scanned(folder)
    assert sorted((Path(path).name, reason) for path, reason in skipped) == [
        ("binary.py", "binary"),
        ("broken.py", "undecodable: not the UTF-16 that its first bytes announce"),
        ("link.py", "a symbolic link, which is not followed"),
        ("long.js", "line 2 longer than 10000 characters: the rest was scanned"),
    ]
    assert sum(names.count for names in result.skipped.values()) == 4
    assert sample.content.reveal() == f'TOKEN = "{GITHUB}"\n'
    assert sample.source == Source((folder / "long.js").as_posix(), 3)


def test_the_same_content_is_one_sample_and_the_rest_is_counted(folder: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (folder / name).write_text(f'TOKEN = "{GITHUB}"\n')
    result, (sample,), _ = scanned(folder)
    assert (result.duplicates, result.near_duplicates) == (2, 0)
    assert result.places == {"github-token": 1}
    assert sample.secrets[0].extra["occurrences"] == 3


def test_nearly_the_same_content_with_the_same_secrets_is_one_sample(folder: Path) -> None:
    lines = [f"alpha_{n} = beta_{n}(gamma_{n}, {n})\n" for n in range(40)]
    for year in range(3):
        (folder / f"{year}.py").write_text(
            f"# copyright 202{year}\n{''.join(lines)}TOKEN = '{GITHUB}'\n"
        )
    (folder / "other.py").write_text(f"{''.join(lines)}TOKEN = '{GITHUB[:-1]}7'\n")
    (folder / "short.py").write_text(f"{lines[0]}TOKEN = '{GITHUB}'\n")
    result, samples, _ = scanned(folder)
    assert [Path(str(sample.source)).name for sample in samples] == [
        "0.py:42",
        "other.py:41",
        "short.py:2",
    ]
    assert (result.near_duplicates, result.duplicates) == (2, 0)
    assert [sample.secrets[0].extra["occurrences"] for sample in samples] == [4, 1, 4]
    assert scanned(folder, settings=ScanSettings(near_duplicates=True))[0].written == 5


def test_the_same_content_with_other_secrets_is_another_sample(folder: Path) -> None:
    for name in ("a.py", "b.yaml"):
        (folder / name).write_text(f"password: {VALUE}\ntoken: {GITHUB}\n")
    _, samples, _ = scanned(folder)
    assert [len(sample.secrets) for sample in samples] == [1, 2]
    assert samples[1].id == f"{samples[0].id}-2"


def test_findings_below_the_minimum_confidence_are_left_out(folder: Path) -> None:
    (folder / "a.py").write_text(f'password = "{VALUE}"\n# {GITHUB}\n')
    _, (sample,), _ = scanned(folder, settings=ScanSettings(Rules("high")))
    assert sample.kinds == ("github-token",)


def test_a_limit_draws_evenly_over_kinds(folder: Path) -> None:
    rng = random.Random(6)
    for number in range(20):
        (folder / f"p{number}.py").write_text(f'password = "{VALUE}{number}"\n')
    for number in range(3):
        token = GENERATORS["github-token"](rng)
        (folder / f"t{number}.py").write_text(f'token = "{token}"\n')
    drawn = []
    for seed in (0, 0, 1):
        settings = ScanSettings(limit=10, seed=seed)
        result, samples, _ = scanned(folder, settings=settings)
        assert (result.found, result.written) == (23, 10)
        assert sorted(sample.kinds[0] for sample in samples) == (
            ["github-token"] * 3 + ["password"] * 7
        )
        drawn.append([sample.id for sample in samples])
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("count", [1, 40])
def test_several_processes_find_the_same_as_one(
    folder: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(count):
        (folder / f"{number}.py").write_text(
            LINE * 2000 + f'password = "{VALUE}{number}"\n' + LINE * 2000
        )
    (folder / "z.py").write_bytes(b"\0")
    assert scanned(folder) == scanned(folder, settings=ScanSettings(processes=2))


class Stopped(Exception):
    pass


def test_a_scan_that_was_stopped_resumes_and_writes_the_same(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (folder / f"{number:02}.py").write_text(
            LINE * 4000 + f'password = "{VALUE}{number}"\n' + LINE * 4000
        )
    (folder / "link").symlink_to("nowhere")
    whole = scanned(folder)
    output = tmp_path / "again.jsonl"

    def stop(done: int, _found: int) -> None:
        if done > 3_000_000:
            raise Stopped

    with pytest.raises(Stopped):
        scan_to(output, [folder], progress=stop)
    assert not output.exists()
    kept = journal_path(output)
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(kept.read_bytes()[:-10])
    seen: list[Job] = []
    scan = JobScanner.scan
    monkeypatch.setattr(
        JobScanner, "scan", lambda scanner, job: seen.append(job) or scan(scanner, job)
    )
    skipped: list[Skipped] = []
    result = scan_to(output, [folder], on_skipped=skipped.append)
    assert (replace(result, resumed=0), read_manifest(output), skipped) == whole
    assert result.resumed >= 1
    assert 0 < len(seen) < 6


def test_the_journal_of_a_changed_corpus_is_not_used(tmp_path: Path, folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.py").write_text(LINE * 40_000 + f'password = "{VALUE}{number}"\n')
    output = tmp_path / "found.jsonl"
    scan_to(output, [folder], keep_journal=True)
    (folder / "0.py").write_text(f'password = "{VALUE}other"\n')
    result = scan_to(output, [folder])
    assert result.resumed == 0
    assert any(VALUE + "other" in sample.content.reveal() for sample in read_manifest(output))


def test_the_journal_of_other_settings_is_not_used(tmp_path: Path, folder: Path) -> None:
    (folder / "a.py").write_text(f'password = "{VALUE}"\n')
    output = tmp_path / "found.jsonl"
    assert scan_to(output, [folder], keep_journal=True).found == 1
    assert scan_to(output, [folder], keep_journal=True).resumed == 1
    assert scan_to(output, [folder], ScanSettings(Rules("high")), keep_journal=True).found == 0
    kept = journal_path(output)
    kept.write_bytes(kept.read_bytes()[:30])
    assert scan_to(output, [folder]).found == 1


def test_the_key_of_the_journal_is_the_same_in_every_process() -> None:
    code = (
        "from pathlib import Path; from erasetest.scanning import corpus_scan, Rules, ScanSettings;"
        "from erasetest.scanning.detect_secrets_baseline import Baseline;"
        "listed = Baseline({name: frozenset('0123456789') for name in 'ab'});"
        "print(corpus_scan.journal_key([Path('x')], ScanSettings(Rules('low', listed))))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(keys) == 1


def test_what_is_in_the_place_of_the_journal_is_named(tmp_path: Path, folder: Path) -> None:
    kept = journal_path(tmp_path / "found.jsonl")
    kept.mkdir()
    with pytest.raises(BadInput, match="exists and is not resume data"):
        scan_to(tmp_path / "found.jsonl", [folder])
    kept.rmdir()
    kept.write_text("notes\n")
    with pytest.raises(BadInput, match="exists and is not resume data"):
        scan_to(tmp_path / "found.jsonl", [folder])
    assert kept.read_text() == "notes\n"
    kept.unlink()
    (tmp_path / "theirs").write_text("theirs")
    kept.symlink_to(tmp_path / "theirs")
    with pytest.raises(BadInput, match="cannot be written"):
        scan_to(tmp_path / "found.jsonl", [folder])
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_nothing_found_writes_nothing(tmp_path: Path, folder: Path) -> None:
    (folder / "a.py").write_text(LINE)
    assert scan_to(tmp_path / "found.jsonl", [folder]).found == 0
    assert not (tmp_path / "found.jsonl").exists()


def test_progress_counts_bytes_and_samples(tmp_path: Path, folder: Path) -> None:
    for number in range(4):
        (folder / f"{number}.py").write_text("x = 1\n" * 200_000 + f'password = "{VALUE}{number}"')
    calls: list[tuple[int, int]] = []
    scan_to(tmp_path / "f.jsonl", [folder], progress=lambda *done: calls.append(done))
    assert calls == sorted(calls)
    assert calls[-1] == (sum(file.stat().st_size for file in folder.iterdir()), 4)


def test_records_are_samples_with_their_own_names(tmp_path: Path, folder: Path) -> None:
    rows = [{"content": f'x = 1\npassword = "{VALUE}{n}"', "path": f"src/{n}.py"} for n in range(3)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, samples, _ = scanned(folder)
    assert [sample.source for sample in samples] == [Source(f"src/{n}.py", 2) for n in range(3)]


class Deadly:
    """A job with a text that ends the process which scans it."""

    name, key, size = "first.py", "deadly", 1

    def texts(self) -> Iterator[Text | Skipped]:
        yield Text("first.py", f'password = "{VALUE}1"\n')
        yield Deadliest()  # type: ignore[misc]
        yield Text("third.py", f'password = "{VALUE}3"\n')


class Deadliest:
    name, is_guessed, notes = "second.py", False, ()

    @property
    def text(self) -> str:
        os.abort()


def test_a_text_that_ends_a_process_is_named_and_the_rest_is_scanned(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.py").write_text(f'password = "{VALUE}"\n')
    planned = corpus_scan.plan

    def with_one_more(*given: object, **options: object) -> Iterator[Job | Skipped]:
        yield Deadly()
        yield from planned(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(corpus_scan, "plan", with_one_more)
    _, samples, skipped = scanned(folder, settings=ScanSettings(processes=2))
    assert [str(sample.source) for sample in samples] == [
        "first.py:1", "third.py:1", f"{folder.as_posix()}/a.py:1",
    ]  # fmt: skip
    reason = "the process that scanned it ended, twice: out of memory?"
    assert skipped == [Skipped("second.py", reason)]


def test_no_secret_is_shown(tmp_path: Path, folder: Path) -> None:
    (folder / "a.py").write_text(f'password = "{VALUE}"\n# {GITHUB}\n')
    shown = repr(scanned(folder))
    assert VALUE not in shown
    assert GITHUB not in shown
