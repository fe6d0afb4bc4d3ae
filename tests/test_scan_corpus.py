"""From files to samples."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from erasetest.demo.secrets import GENERATORS
from erasetest.samples import Source, read_manifest, write_manifest
from erasetest.scan import scan_paths

VALUE = "k7Qm" + "2vXw9"
GITHUB = GENERATORS["github-token"](random.Random(1))
LINE = "value = compute(value) + 1\n"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERASETEST_ID_KEY", "of these tests")


def test_a_file_with_secrets_becomes_a_sample_with_its_source(tmp_path: Path) -> None:
    text = f'# naïve 🦉\r\n\r\nTOKEN = "{GITHUB}"\r\npassword = "{VALUE}"\r\n'
    (tmp_path / "a.py").write_bytes(text.encode())
    (tmp_path / "b.py").write_text(LINE)
    result = scan_paths([tmp_path])
    (sample,) = result.samples
    assert sample.content.reveal() == text
    assert [(secret.kind, secret.text.reveal()) for secret in sample.secrets] == [
        ("github-token", GITHUB),
        ("password", VALUE),
    ]
    assert all(text[s.start : s.end] == s.text.reveal() for s in sample.secrets)
    assert sample.source == Source((tmp_path / "a.py").as_posix(), 3)
    assert result.files == 2
    assert result.counts == {"github-token": 1, "password": 1}
    assert result.skipped == []


def test_samples_of_a_large_file_hold_their_secrets_at_the_right_places(tmp_path: Path) -> None:
    text = "".join(LINE * 150 + f"# é\npassword = '{VALUE}{n}'\n" for n in range(4))
    (tmp_path / "a.py").write_text(text)
    result = scan_paths([tmp_path / "a.py"])
    assert [len(sample.secrets) for sample in result.samples] == [1] * 4
    for number, sample in enumerate(result.samples):
        (secret,) = sample.secrets
        assert sample.content.reveal()[secret.start : secret.end] == f"{VALUE}{number}"
        assert sample.source is not None
        assert sample.source.line == 152 * (number + 1)
    assert result.counts == {"password": 4}


def test_samples_survive_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f'TOKEN = "{GITHUB}"\n')
    result = scan_paths([tmp_path])
    write_manifest(tmp_path / "samples.jsonl", result.samples)
    assert read_manifest(tmp_path / "samples.jsonl") == result.samples


def test_files_in_any_encoding_are_scanned_and_latin1_is_said(tmp_path: Path) -> None:
    text = f'größe = 1; TOKEN = "{GITHUB}"\n'
    for name, encoding in {"a": "utf-8-sig", "b": "utf-16", "c": "latin-1"}.items():
        (tmp_path / f"{name}.py").write_bytes((f"# {name}\n" + text).encode(encoding))
    result = scan_paths([tmp_path])
    assert [sample.secrets[0].start for sample in result.samples] == [4 + text.index(GITHUB)] * 3
    assert result.latin1 == [(tmp_path / "c.py").as_posix()]


def test_what_is_not_scanned_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "binary.py").write_bytes(b"\0\1\2")
    (tmp_path / "broken.py").write_bytes(b"\xff\xfea")
    (tmp_path / "link.py").symlink_to(tmp_path / "binary.py")
    (tmp_path / "long.js").write_text(f'{LINE}{"x" * 100_000}\nTOKEN = "{GITHUB}"\n')
    result = scan_paths([tmp_path])
    assert [(Path(path).name, reason) for path, reason in result.skipped] == [
        ("binary.py", "binary"),
        ("broken.py", "undecodable: not the UTF-16 that its first bytes announce"),
        ("link.py", "a symbolic link, which is not followed"),
        ("long.js", "line 2 longer than 10000 characters: the rest was scanned"),
    ]
    (sample,) = result.samples
    assert sample.content.reveal() == f'TOKEN = "{GITHUB}"\n'
    assert sample.source == Source((tmp_path / "long.js").as_posix(), 3)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text(LINE)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = scan_paths([tmp_path])
    assert [reason for _, reason in result.skipped] == ["cannot be read: Permission denied"]
    assert result.files == 0


def test_the_same_content_is_one_sample_and_the_rest_is_counted(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text(f'TOKEN = "{GITHUB}"\n')
    result = scan_paths([tmp_path])
    assert len(result.samples) == 1
    assert result.duplicates == 2
    assert result.counts == {"github-token": 1}


def test_the_same_content_with_other_secrets_is_another_sample(tmp_path: Path) -> None:
    for name in ("a.py", "b.yaml"):
        (tmp_path / name).write_text(f"password: {VALUE}\ntoken: {GITHUB}\n")
    result = scan_paths([tmp_path])
    assert [len(sample.secrets) for sample in result.samples] == [1, 2]
    assert result.samples[1].id == f"{result.samples[0].id}-2"


def test_two_scans_find_the_same(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.py").write_text(f'password = "{VALUE}{number}"\n# {GITHUB}\n')
    assert scan_paths([tmp_path]) == scan_paths([tmp_path])


def test_progress_is_told_after_every_file(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.py").write_text(LINE)
    told: list[tuple[int, int]] = []
    scan_paths([tmp_path], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f'password = "{VALUE}"\n# {GITHUB}\n')
    shown = repr(scan_paths([tmp_path]))
    assert VALUE not in shown
    assert GITHUB not in shown
