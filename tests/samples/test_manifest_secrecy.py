"""What a manifest never shows: secrets in ids, kinds, sources, unknown keys and representations."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from manifests import CONTENT, ROW, SECRET, write_rows

from erasetest.errors import BadInput, ManifestError, ShortSecretWarning
from erasetest.samples import (
    check_manifest,
    read_manifest,
    write_manifest,
)


def test_nothing_shows_content(tmp_path: Path) -> None:
    """repr, str, format, copies and pickles of a sample contain no part of a secret."""
    sample = read_manifest(write_rows(tmp_path / "a.jsonl", {**ROW, "note": SECRET}))[0]
    lost = pickle.loads(pickle.dumps(sample.content))
    for shown in (
        repr(sample),
        str(sample),
        f"{sample}",
        repr([sample.secrets, {sample.id: sample}]),
        repr(copy.deepcopy(sample)),
        repr(lost),
        repr(pickle.dumps((sample.content, sample.secrets[0].text))),
    ):
        assert SECRET[:6] not in shown
        assert "key =" not in shown
    assert copy.deepcopy(sample).content.reveal() == CONTENT


def test_unknown_keys_show_no_secret(tmp_path: Path) -> None:
    """A value with a part of any sample's secret is masked, and written back unmasked."""
    other = "q7Xv2Lm9Rt4"
    rows = [
        {**ROW, "id": "1", "note": f"it is {SECRET}", "more": {"a": [1, SECRET[1:10]]}, "n": 3},
        {**ROW, "id": "2", "secrets": [{**ROW["secrets"][0], "raw": SECRET}], "x": [other]},
        {"id": "3", "content": other, "secrets": [{"start": 0, "end": 11, "kind": "k"}]},
    ]
    path = write_rows(tmp_path / "a.jsonl", *rows)
    samples = read_manifest(path)
    shown = "".join(
        repr([sample.extra, asdict(sample), pickle.dumps(sample)])
        + repr([secret.extra for secret in sample.secrets])
        for sample in samples
    )
    assert SECRET[1:9] not in shown
    assert other[:8] not in shown
    assert samples[0].extra["n"] == 3
    write_manifest(tmp_path / "b.jsonl", samples)
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == rows
    with pytest.raises(ManifestError, match="an unknown key contains a part of a secret") as caught:
        read_manifest(write_rows(tmp_path / "c.jsonl", {**ROW, SECRET: 1}))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
def test_an_id_or_kind_in_another_case_is_refused(
    tmp_path: Path, change: Callable[[str], str]
) -> None:
    """As in the same case, both in the sample of the secret and in another one."""
    secret = "q7Xv2Lm9Rt4"
    other = {"content": f"k = {secret}", "secrets": [{"start": 4, "end": 15, "kind": "k"}]}
    part = change(secret[1:10])
    short = {"content": "k = pW4x", "secrets": [{"start": 4, "end": 8, "kind": "k"}]}
    for rows in (
        [{**other, "id": f"id-{part}"}],
        [{**other, "secrets": [{**other["secrets"][0], "kind": f"K-{part}"}]}],
        [{**ROW, "id": f"id-{part}"}, other],
        [{**ROW, "id": f"id-{change('pW4x')}-1"}, short],
    ):
        path = write_rows(tmp_path / "a.jsonl", *rows)
        for read in (read_manifest, check_manifest):
            with pytest.raises(BadInput, match=r"part of (a|its) secret") as caught:
                read(path)
            assert part not in str(caught.value)


def test_a_warning_names_secrets_too_short_to_mask(tmp_path: Path) -> None:
    """By sample and span: the first five, and the number of the others."""
    rows = [
        {"id": f"s{n}", "content": f"pin = {n}77", "secrets": [{"start": 6, "end": 9, "kind": "k"}]}
        for n in range(1, 8)
    ]
    path = write_rows(tmp_path / "a.jsonl", *rows, ROW)
    with pytest.warns(ShortSecretWarning) as caught:
        read_manifest(path)
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith(f"{path}: secrets of fewer than 4 characters cannot be masked")
    assert "s1 [6, 9), s2 [6, 9), s3 [6, 9), s4 [6, 9), s5 [6, 9) and 2 more" in text
    assert "177" not in text


def test_a_source_can_be_shown(tmp_path: Path) -> None:
    """A secret in a path is masked; control characters and surrogates are escaped."""
    rows = [
        {**ROW, "id": "1", "source": {"path": f"dump/{SECRET}/a.py"}},
        {**ROW, "id": "2", "source": {"path": "a\x1b[31m\nb\udcff.py", "line": 2}},
    ]
    path = write_rows(tmp_path / "a.jsonl", *rows)
    one, two = read_manifest(path)
    assert str(one.source) == "dump/[masked]/a.py"
    assert str(two.source) == "a\\x1b[31m\\nb\\udcff.py:2"
    write_manifest(path, [one, two])
    assert read_manifest(path) == [one, two]


def test_a_password_that_is_its_kind(tmp_path: Path) -> None:
    """The kind reveals no more than the word "password", which is the secret."""
    row = {"content": "password", "secrets": [{"start": 0, "end": 8, "kind": "database-password"}]}
    assert read_manifest(write_rows(tmp_path / "a.jsonl", row))[0].kinds == ("database-password",)
