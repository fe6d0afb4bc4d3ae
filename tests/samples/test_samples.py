"""Manifests: what is read and what is refused."""

from __future__ import annotations

import gzip
import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import CONTENT, ROW, SECRET, refusal, write_rows

from erasetest.errors import BadInput, ManifestError, MissingExtra
from erasetest.samples import (
    SensitiveSample,
    Source,
    check_manifest,
    content_id,
    iter_manifest,
    make_sample,
    read_manifest,
    read_manifests,
    to_line,
    write_manifest,
)


def _same(one: SensitiveSample, other: SensitiveSample) -> None:
    """Assert that two samples are equal in all attributes, including masked text."""
    assert one == other
    assert one.content.reveal() == other.content.reveal()
    assert [s.text.reveal() for s in one.secrets] == [s.text.reveal() for s in other.secrets]


_CHARACTERS = st.characters(exclude_categories=["Cs"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def _rows(draw: st.DrawFn) -> dict[str, Any]:
    content = draw(st.text(_CHARACTERS, min_size=1, max_size=40))
    secrets = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content) - 1))
        end = draw(st.integers(start + 1, len(content)))
        extra = draw(st.dictionaries(st.sampled_from(["note", "rule"]), _JSON))
        secrets.append({"start": start, "end": end, "kind": draw(st.sampled_from("kx")), **extra})
    row: dict[str, Any] = {"content": content, "secrets": secrets}
    if draw(st.booleans()):
        row["source"] = {"path": "path", **draw(st.sampled_from([{}, {"line": 3}]))}
    return {**row, **draw(st.dictionaries(st.sampled_from(["extra", "ünïque", "\ud800"]), _JSON))}


@pytest.mark.filterwarnings("ignore::erasetest.errors.ShortSecretWarning")
@given(st.lists(_rows(), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_manifest_is_written_as_it_was_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    """Content, spans, kinds, source and unknown keys; ids after the first reading."""
    folder = tmp_path_factory.mktemp("manifest")
    for number, row in enumerate(rows):
        row["id"] = f"s{number}"
    first = read_manifest(write_rows(folder / "a.jsonl", *rows))
    write_manifest(folder / "b.jsonl", first)
    second = read_manifest(folder / "b.jsonl")
    for one, other, row in zip(first, second, rows, strict=True):
        _same(one, other)
        assert one.content.reveal() == row["content"]
        for secret, given_secret in zip(one.secrets, row["secrets"], strict=True):
            start, end = given_secret["start"], given_secret["end"]
            assert secret.text.reveal() == row["content"][start:end]
            assert (secret.start, secret.end, secret.kind) == (start, end, given_secret["kind"])
        assert json.loads(to_line(one)) == row


def test_a_sample_as_read(tmp_path: Path) -> None:
    """All attributes; unknown keys are kept at both levels."""
    row = {
        "id": "a-1",
        "content": CONTENT,
        "secrets": [{"start": 7, "end": 27, "kind": "aws-access-key", "rule": "r1"}],
        "source": {"path": "src/settings.py", "line": 3},
        "split": "train",
    }
    sample = read_manifest(write_rows(tmp_path / "a.jsonl", row))[0]
    assert sample.id == "a-1"
    assert sample.content.reveal() == CONTENT
    assert sample.secrets[0].text.reveal() == SECRET
    assert sample.secrets[0].extra == {"rule": "r1"}
    assert sample.kinds == ("aws-access-key",)
    assert sample.source == Source("src/settings.py", 3)
    assert str(sample.source) == "src/settings.py:3"
    assert str(Source("x.py")) == "x.py"
    assert sample.extra == {"split": "train"}
    assert json.loads(to_line(sample)) == row


def test_kinds_are_named_once() -> None:
    """In order of first occurrence."""
    sample = make_sample("abcdef", [(4, 5, "b"), (0, 1, "a"), (2, 3, "b")])
    assert sample.kinds == ("b", "a")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not valid JSON"),
        (f'{{"content": "{SECRET}}}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON (nested too deeply)"),
        ("1" * 5000, "not JSON"),
        ("[]", "expected a JSON object, got list"),
        ("null", "expected a JSON object, got NoneType"),
        ({"secrets": ROW["secrets"]}, "'content' must be a non-empty string"),
        ({**ROW, "content": ""}, "'content' must be a non-empty string"),
        ({**ROW, "content": 5}, "'content' must be a non-empty string"),
        ({**ROW, "content": CONTENT + "\ud800"}, "'content' contains a lone surrogate"),
        ({**ROW, "secrets": {}}, "'secrets' must be a list, got dict"),
        ({**ROW, "secrets": None}, "'secrets' must be a list, got NoneType"),
        ({**ROW, "secrets": []}, "'secrets' is empty"),
        ({"content": CONTENT}, "'secrets' is empty"),
        ({**ROW, "secrets": [7]}, "a secret must be an object, got int"),
        ({**ROW, "secrets": [{"kind": "k"}]}, "needs integers 'start' and 'end'"),
        ({**ROW, "secrets": [{"start": 7.0, "end": 9, "kind": "k"}]}, "needs integers"),
        ({**ROW, "secrets": [{"start": False, "end": True, "kind": "k"}]}, "needs integers"),
        ({**ROW, "secrets": [{"start": "7", "end": "9", "kind": "k"}]}, "needs integers"),
        ({**ROW, "secrets": [{"start": 7, "end": 7, "kind": "k"}]}, "span [7, 7) is empty"),
        ({**ROW, "secrets": [{"start": 9, "end": 7, "kind": "k"}]}, "span [9, 7) is empty"),
        ({**ROW, "secrets": [{"start": -1, "end": 7, "kind": "k"}]}, "span [-1, 7) is empty"),
        ({**ROW, "secrets": [{"start": 7, "end": 99, "kind": "k"}]}, "outside the content's 29"),
        ({**ROW, "secrets": [{"start": 7, "end": 9}]}, "needs a 'kind'"),
        (
            {**ROW, "secrets": [{"start": 7, "end": 9, "kind": ""}]},
            "1 to 200 printable characters, got 0 characters",
        ),
        (
            {**ROW, "secrets": [{"start": 7, "end": 9, "kind": "a\nb"}]},
            "printable characters, got an unprintable character",
        ),
        (
            {**ROW, "secrets": [{"start": 7, "end": 9, "kind": "k" * 201}]},
            "1 to 200 printable characters, got 201 characters",
        ),
        (
            {**ROW, "secrets": [{"start": 7, "end": 27, "kind": f"key {SECRET}"}]},
            "'kind' contains a part of a secret",
        ),
        (
            {**ROW, "id": ""},
            "'id' must be a string of 1 to 200 printable characters, got 0 characters",
        ),
        ({**ROW, "id": 7}, "'id' must be a string of 1 to 200 printable characters, got int"),
        (
            {**ROW, "id": "x" * 201},
            "'id' must be a string of 1 to 200 printable characters, got 201",
        ),
        ({**ROW, "id": "a\nb"}, "printable characters, got an unprintable character"),
        ({**ROW, "id": "\ud800"}, "printable characters, got an unprintable character"),
        ({**ROW, "id": f"file of {SECRET[4:14]}"}, "'id' contains a part of a secret"),
        ({**ROW, "source": "a.py"}, "'source' must be an object with a string 'path'"),
        ({**ROW, "source": {"line": 3}}, "'source' must be an object with a string 'path'"),
        ({**ROW, "source": {"path": "a.py", "line": "3"}}, "'source.line' must be an integer"),
        ({**ROW, "source": {"path": "a.py", "line": True}}, "'source.line' must be an integer"),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line(
    tmp_path: Path, line: dict[str, Any] | str, reason: str
) -> None:
    """With the reason, which never quotes content."""
    path = write_rows(tmp_path / "a.jsonl", ROW, "", line)
    message = refusal(path)
    assert message.startswith(f"{path}:3: ")
    assert reason in message
    for start in range(len(SECRET) - 4):
        assert SECRET[start : start + 5] not in message


def test_samples_without_secrets_where_they_are_allowed(tmp_path: Path) -> None:
    """Retained code is a manifest as well."""
    path = write_rows(tmp_path / "a.jsonl", {"content": "x = 1\n"})
    sample = read_manifest(path, require_secrets=False)[0]
    assert sample.secrets == ()
    assert "is empty" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", b"", "contains no sample"),
        ("a.jsonl", b"\n \n", "contains no sample"),
        ("a.jsonl", b'{"content": "\xff"}\n', "is not UTF-8 text"),
        ("a.jsonl.gz", b"plain text\n", "is a truncated or damaged gzip file"),
        (
            "a.jsonl.gz",
            gzip.compress(json.dumps(ROW).encode())[:-12],
            "is a truncated or damaged gzip file",
        ),
    ],
)
def test_a_file_that_is_not_a_manifest(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    """The message names the file and the reason."""
    path = tmp_path / name
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: {reason}")


def test_a_gzip_file_with_damage_inside(tmp_path: Path) -> None:
    """zlib raises its own error for it."""
    path = tmp_path / "a.jsonl.gz"
    whole = bytearray(gzip.compress(json.dumps(ROW).encode() * 50))
    whole[12:20] = b"\xff" * 8
    path.write_bytes(whole)
    assert "is a truncated or damaged gzip file" in refusal(path)


def test_a_path_that_cannot_be_opened(tmp_path: Path) -> None:
    """A missing file, or a folder."""
    assert refusal(tmp_path / "a.jsonl").endswith("cannot be read: No such file or directory")
    assert refusal(tmp_path).endswith("cannot be read: Is a directory")


def test_gzip_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    """Files from other systems read the same."""
    plain = read_manifest(write_rows(tmp_path / "a.jsonl", ROW, ROW))
    text = f"{json.dumps(ROW)}\r\n{json.dumps(ROW)}\r\n"
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    assert read_manifest(tmp_path / "b.jsonl") == plain
    assert read_manifest(tmp_path / "c.jsonl.gz") == plain


@pytest.mark.filterwarnings("ignore::erasetest.errors.ShortSecretWarning")
def test_unicode_line_breaks_do_not_end_a_line(tmp_path: Path) -> None:
    """U+2028, U+0085 and form feed stay inside content."""
    sample = make_sample("a\u2028b\u0085c\x0cd", [(0, 1, "k")], id="s")
    write_manifest(tmp_path / "a.jsonl", [sample])
    _same(read_manifest(tmp_path / "a.jsonl")[0], sample)


def test_a_duplicate_id_is_refused(tmp_path: Path) -> None:
    """The message names both lines, or the other file."""
    path = write_rows(tmp_path / "a.jsonl", {**ROW, "id": "x"}, "", {**ROW, "id": "x"})
    assert refusal(path) == f"{path}:3: its 'id' is already used in line 1"
    one = write_rows(tmp_path / "b.jsonl", {**ROW, "id": "x"})
    two = write_rows(tmp_path / "c.jsonl", {**ROW, "id": "y"}, {**ROW, "id": "x"})
    with pytest.raises(ManifestError) as caught:
        read_manifests([one, two])
    assert str(caught.value) == f"{two}: the 'id' of a sample is already used in {one}"


def test_several_manifests_in_order(tmp_path: Path) -> None:
    """In the order of the paths."""
    one = write_rows(tmp_path / "a.jsonl", {**ROW, "id": "b"}, {**ROW, "id": "a"})
    two = write_rows(tmp_path / "b.jsonl", {**ROW, "id": "c"})
    assert [sample.id for sample in read_manifests([two, one])] == ["c", "b", "a"]


def test_a_missing_id_is_a_keyed_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It depends on the key and the content, and on nothing else."""
    path = write_rows(tmp_path / "a.jsonl", ROW, {**ROW, "content": CONTENT + "#"})
    monkeypatch.setenv("ERASETEST_ID_KEY", "one")
    first, other = (sample.id for sample in read_manifest(path))
    assert first == content_id(CONTENT) == make_sample(CONTENT).id
    assert len(first) == 16
    assert first != other
    assert [sample.id for sample in read_manifest(path)] == [first, other]
    monkeypatch.setenv("ERASETEST_ID_KEY", "two")
    assert read_manifest(path)[0].id != first
    monkeypatch.setenv("ERASETEST_ID_KEY", "k" * 500)
    assert len(read_manifest(path)[0].id) == 16


def test_the_same_content_twice_gets_two_ids(tmp_path: Path) -> None:
    """Numbered, not refused: the user did not choose these ids."""
    path = write_rows(tmp_path / "a.jsonl", ROW, ROW, ROW)
    first, *others = (sample.id for sample in read_manifest(path))
    assert others == [f"{first}-2", f"{first}-3"]


def test_a_parquet_manifest(tmp_path: Path) -> None:
    """It gives the same samples as JSONL; errors name the row."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {**ROW, "id": "a", "source": {"path": "x.py", "line": 3}, "note": None},
        {**ROW, "id": "b", "source": {"path": "y.py", "line": None}, "note": "n"},
        {**ROW, "id": "c", "source": None, "note": None},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    rows[0].pop("note")
    rows[2].pop("note"), rows[2].pop("source")
    plain = read_manifest(write_rows(tmp_path / "a.jsonl", *rows))
    for one, other in zip(read_manifest(tmp_path / "a.parquet"), plain, strict=True):
        _same(one, other)
    rows[1]["content"] = ""
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "b.parquet")
    assert refusal(tmp_path / "b.parquet").startswith(f"{tmp_path / 'b.parquet'}:2: 'content'")


def test_a_file_that_is_not_parquet(tmp_path: Path) -> None:
    """The message names the file."""
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing")
    assert "cannot be read as Parquet" in refusal(tmp_path / "a.parquet")
    assert "cannot be read as Parquet" in refusal(tmp_path / "none.parquet")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra to install."""
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"pip install 'erasetest\[parquet\]'"):
        read_manifest(tmp_path / "a.parquet")


def test_errors_survive_pickling() -> None:
    """They are passed between processes."""
    for error in (ManifestError("a.jsonl", 3, "why"), MissingExtra("peft", "lora", "it")):
        other = pickle.loads(pickle.dumps(error))
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


def test_a_manifest_is_read_one_by_one(tmp_path: Path) -> None:
    """As by `read_manifest`, except that paths may show another sample's secret."""
    rows = [{**ROW, "content": ROW["content"] + str(n % 3)} for n in range(7)]
    path = write_rows(tmp_path / "a.jsonl", *rows)
    assert [s.id for s in iter_manifest(path)] == [s.id for s in read_manifest(path)]
    assert len({s.id for s in iter_manifest(path)}) == 7
    assert check_manifest(path) == 7


def test_check_manifest_refuses_what_read_manifest_refuses(tmp_path: Path) -> None:
    """An invalid line, a duplicate id, an id or kind with another sample's secret."""
    secret = "q7Xv2Lm9Rt4"
    other = {"content": f"k = {secret}", "secrets": [{"start": 4, "end": 15, "kind": "k"}]}
    for rows in (
        [{**ROW, "id": "x"}, {**ROW, "id": "x"}],
        [ROW, {"content": ""}],
        [{**ROW, "id": f"id-{secret[1:10]}"}, other],
        [other, {**ROW, "secrets": [{**ROW["secrets"][0], "kind": f"kind-{secret[2:11]}"}]}],
    ):
        path = write_rows(tmp_path / "a.jsonl", *rows)
        with pytest.raises(BadInput) as caught:
            read_manifest(path)
        assert secret not in str(caught.value)
        with pytest.raises(BadInput) as caught:
            check_manifest(path)
        assert secret not in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    """Ten times the samples need hardly more memory: a few bytes per sample."""
    peaks = []
    for count in (300, 3000):
        path = tmp_path / f"{count}.jsonl"
        rows = [
            {"id": f"s{n}", "content": f"k = '{n:040d}'" + " " * 2000, "secrets": SPAN}
            for n in range(count)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        del rows
        tracemalloc.start()
        assert check_manifest(path) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 600_000


SPAN = [{"start": 5, "end": 45, "kind": "k"}]
