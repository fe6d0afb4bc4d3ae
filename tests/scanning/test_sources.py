"""Readers of corpora."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from corpus_reading import OPENERS, names_and_reasons, read_corpus, write_records
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.errors import BadInput
from erasetest.scanning.sources import Columns, Text, jsonl, plan, texts
from erasetest.scanning.text_decoding import MAX_FILE_SIZE
from erasetest.scanning.walk import Skipped


def test_files_are_read_together_in_jobs_of_their_size(tmp_path: Path) -> None:
    for number in range(1100):
        (tmp_path / f"{number:04}.py").write_text(f"x = {number}\n")
    (tmp_path / "z.py").write_text("y" * (3 * 2**20))
    jobs = [job for job in plan([tmp_path]) if not isinstance(job, Skipped)]
    assert [len(list(job.texts())) for job in jobs] == [500, 500, 101]
    assert [text.text for text in read_corpus(tmp_path)[0][:3]] == ["x = 0\n", "x = 1\n", "x = 2\n"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_a_compressed_file_is_read_as_its_content(tmp_path: Path, suffix: str) -> None:
    with OPENERS[suffix](tmp_path / f"a.py{suffix}", "wb") as file:
        file.write("größe = 1\n".encode())
    (text,), skipped = read_corpus(tmp_path)
    assert (text.name, text.text) == ((tmp_path / "a.py").as_posix(), "größe = 1\n")
    assert skipped == []


def test_a_bomb_is_too_large_and_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bomb.py.gz").write_bytes(gzip.compress(b"\n" * 200 * 2**20, 1))
    (tmp_path / "cut.py.gz").write_bytes(gzip.compress(random.Random(1).randbytes(999))[:-20])
    (tmp_path / "none.py.xz").write_bytes(b"nothing")
    (tmp_path / "x.py.zst").write_bytes(b"nothing")
    found, skipped = read_corpus(tmp_path)
    assert found == []
    assert names_and_reasons(skipped)[0] == ("bomb.py", "larger than 5 MiB")
    assert [reason[:7] for _, reason in names_and_reasons(skipped)[1:]] == [
        "broken:",
        "broken:",
        "compres",
    ]


@pytest.mark.parametrize("suffix", OPENERS)
@pytest.mark.parametrize("kind", [".jsonl", ".ndjson", ".json"])
def test_records_are_read_from_every_form(tmp_path: Path, kind: str, suffix: str) -> None:
    rows = [{"content": f"x = {n}\n", "path": f"src/{n}.py", "stars": n} for n in range(3)]
    write_records(tmp_path / f"data{kind}{suffix}", rows)
    assert read_corpus(tmp_path)[0] == [Text(f"src/{n}.py", f"x = {n}\n") for n in range(3)]


@pytest.mark.parametrize(
    ("row", "name", "text"),
    [
        ({"text": "a"}, "d.jsonl#1", "a"),
        ({"code": "a", "repo_name": "r/s", "path": "f.py"}, "r/s/f.py", "a"),
        ({"content": None, "text": "a", "filename": 3}, "d.jsonl#1", "a"),
        ({"content": "a", "path": "x\ny"}, "x\ufffdy", "a"),
    ],
)
def test_the_columns_of_usual_data_sets_are_known(
    tmp_path: Path, row: dict[str, Any], name: str, text: str
) -> None:
    write_records(tmp_path / "d.jsonl", [row])
    ((found,), _) = read_corpus(tmp_path / "d.jsonl")
    assert (found.name.removeprefix(f"{tmp_path.as_posix()}/"), found.text) == (name, text)


def test_named_columns_are_used(tmp_path: Path) -> None:
    write_records(tmp_path / "d.jsonl", [{"content": "no", "body": "yes", "where": "a.py"}])
    assert read_corpus(tmp_path, columns=Columns("body", "where"))[0] == [Text("a.py", "yes")]


def test_what_is_not_a_data_set_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"text": "one document"}\n')
    (tmp_path / "b.jsonl").write_text("[1]\n")
    (tmp_path / "c.json").write_text("{\n}\n")
    found, skipped = read_corpus(tmp_path)
    assert [Path(text.name).name for text in found] == ["a.json", "b.jsonl", "c.json"]
    assert skipped == []


def test_a_data_set_with_other_columns_says_so(tmp_path: Path) -> None:
    write_records(tmp_path / "d.jsonl", [{"body": "a"}, {"body": "b"}])
    for columns in (None, Columns("nope")):
        found, skipped = read_corpus(tmp_path, columns=columns)
        assert found == []
        assert [reason[:25] for _, reason in skipped] == ["no text: expected a column"[:25]] * 2


def test_bad_records_are_named_and_end_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "MAX_RECORD_SIZE", 2000)
    monkeypatch.setattr(texts, "MAX_FILE_SIZE", 1000)
    rows = [
        b"{broken\n", {"text": "first"}, b"\n", b"\xff\xfe\n", b"[]\n", {"no": "text"},
        {"text": "nul \0"}, {"text": "lone \ud83e"}, {"text": "x" * 1001}, {"text": "x" * 9000},
        b'{"text": "last"}',
    ]  # fmt: skip
    write_records(tmp_path / "d.jsonl", rows)
    found, skipped = read_corpus(tmp_path)
    assert [(text.text, text.notes) for text in found] == [
        ("first", ()),
        ("lone \ufffd", ("contains lone surrogates: each was read as U+FFFD",)),
        ("last", ()),
    ]
    assert names_and_reasons(skipped) == [
        ("d.jsonl#1", "not a JSON object"),
        ("d.jsonl#4", "not a JSON object"),
        ("d.jsonl#5", "not a JSON object"),
        (
            "d.jsonl#6",
            "no text: expected a column content or text or code or source or whole_func_string",
        ),
        ("d.jsonl#7", "binary"),
        ("d.jsonl#9", "larger than 0 MiB"),
        ("d.jsonl#10", "a line longer than 0 MiB"),
    ]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_what_precedes_a_break_is_read(tmp_path: Path, suffix: str) -> None:
    rng = random.Random(2)
    path = tmp_path / f"d.jsonl{suffix}"
    write_records(path, [{"text": rng.randbytes(500).hex()} for _ in range(4000)])
    path.write_bytes(path.read_bytes()[:-500])
    found, skipped = read_corpus(tmp_path)
    assert 1000 < len(found) < 4000
    (left,) = names_and_reasons(skipped)
    assert left[0] == path.name
    assert left[1].startswith("broken: ")
    assert left[1].endswith("what precedes the break was scanned")


@settings(deadline=None, max_examples=30)
@given(
    contents=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1),
    batch=st.integers(1, 200),
)
def test_records_are_read_back_whatever_the_size_of_a_job(
    tmp_path_factory: pytest.TempPathFactory, contents: list[str], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("records")
    write_records(folder / "d.jsonl", [{"text": text} for text in contents])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "JOB_SIZE", batch)
        found, skipped = read_corpus(folder)
    assert [text.text for text in found] == contents
    assert skipped == []


LONG = """
import resource, sys
from pathlib import Path
from erasetest.scanning.sources import plan
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for job in plan([Path(sys.argv[1])]):
    for text in getattr(job, "texts", list)():
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("name", ["long.py", "long.jsonl", "long.jsonl.gz"])
def test_a_line_of_150_mb_is_not_held_in_memory(tmp_path: Path, name: str) -> None:
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wb", *([1] if name.endswith(".gz") else [])) as file:
        file.write(b'{"text": "first"}\n{"text": "')
        for _ in range(150):
            file.write(b"x" * 2**20)
        file.write(b'"}\n{"text": "last"}\n')
    done = subprocess.run(
        [sys.executable, "-c", LONG, tmp_path], capture_output=True, text=True, check=True
    )
    # The longest line that is read, twice, while it is being read.
    assert int(done.stdout) < 140
    if "jsonl" in name:
        found, skipped = read_corpus(tmp_path)
        assert [text.text for text in found] == ["first", "last"]
        assert names_and_reasons(skipped) == [(f"{name}#2", "a line longer than 64 MiB")]


def test_files_that_vanish_or_change_are_named(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text("x = 1\n")
    os.mkfifo(tmp_path / "pipe")
    (job,) = plan([tmp_path])
    assert not isinstance(job, Skipped)
    (tmp_path / "a.py").unlink()
    (tmp_path / "b.py").write_bytes(b" " * (MAX_FILE_SIZE + 1))
    found = list(job.texts())
    assert [isinstance(text, Text) for text in found] == [False, False, True, False]
    assert names_and_reasons([text for text in found if isinstance(text, Skipped)]) == [
        ("a.py", "cannot be read: No such file or directory"),
        ("b.py", "larger than 5 MiB"),
        ("pipe", "not a regular file"),
    ]
    assert job.key not in {
        again.key for again in plan([tmp_path]) if not isinstance(again, Skipped)
    }


class TestColumns:
    """Columnar data sets."""

    @pytest.fixture(autouse=True)
    def _arrow(self) -> None:
        pytest.importorskip("pyarrow")

    @staticmethod
    def table(count: int, length: int = 10) -> Any:
        import pyarrow

        rows = [{"content": f"x = {n}\n" + "#" * length, "path": f"{n}.py"} for n in range(count)]
        return pyarrow.Table.from_pylist(rows).append_column("n", [list(range(count))])

    def test_parquet_is_read_by_row_groups(self, tmp_path: Path) -> None:
        import pyarrow.parquet

        pyarrow.parquet.write_table(self.table(700), tmp_path / "d.parquet", row_group_size=300)
        found, skipped = read_corpus(tmp_path)
        assert [text.name for text in found] == [f"{n}.py" for n in range(700)]
        assert found[699].text == "x = 699\n##########"
        assert skipped == []
        assert len(list(plan([tmp_path]))) == 3

    def test_broken_parquet_and_parquet_without_text_are_named(self, tmp_path: Path) -> None:
        import pyarrow.parquet

        table = self.table(500, 2000)
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet", compression="none")
        data = bytearray((tmp_path / "a.parquet").read_bytes())
        data[1000:9000] = b"\xff" * 8000
        (tmp_path / "a.parquet").write_bytes(data)
        (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing")
        pyarrow.parquet.write_table(table.select(["n"]), tmp_path / "c.parquet")
        _, skipped = read_corpus(tmp_path)
        assert [path for path, _ in names_and_reasons(skipped)] == [
            "a.parquet",
            "b.parquet",
            "c.parquet",
        ]
        reasons = [reason for _, reason in skipped]
        assert all(reason.startswith("broken: cannot be read") for reason in reasons[:2])
        assert reasons[2].startswith("no text: expected a column content")

    def save(self, folder: Path, count: int, **state: Any) -> None:
        import pyarrow

        folder.mkdir(parents=True)
        table = self.table(count, 20_000)
        for number, part in enumerate((table.slice(0, count // 2), table.slice(count // 2))):
            file = folder / f"data-{number:05}-of-00002.arrow"
            with pyarrow.ipc.new_stream(str(file), table.schema) as writer:
                writer.write_table(part, max_chunksize=20)
        names = [{"filename": f"data-{number:05}-of-00002.arrow"} for number in range(2)]
        (folder / "state.json").write_text(json.dumps({"_data_files": names, **state}))
        (folder / "dataset_info.json").write_text("{}")

    def test_a_data_set_on_disk_is_read_by_its_batches(self, tmp_path: Path) -> None:
        self.save(tmp_path / "set", 200)
        found, skipped = read_corpus(tmp_path)
        assert [text.name for text in found] == [f"{n}.py" for n in range(200)]
        assert skipped == []
        assert len(list(plan([tmp_path / "set"]))) == 4

    def test_splits_are_read_one_after_another(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            self.save(tmp_path / "set" / split, 10)
        (tmp_path / "set/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        assert len(read_corpus(tmp_path / "set")[0]) == 20

    def test_a_data_set_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        self.save(tmp_path / "a", 10, _indices_data_files=[{"filename": "i.arrow"}])
        self.save(tmp_path / "b", 10)
        (tmp_path / "b/state.json").write_text("[]")
        self.save(tmp_path / "c", 10)
        (tmp_path / "c/data-00000-of-00002.arrow").write_bytes(b"nothing")
        found, skipped = read_corpus(tmp_path)
        assert len(found) == 5
        assert [(path, reason[:7]) for path, reason in names_and_reasons(skipped)] == [
            ("a", "its row"),
            ("b", "broken:"),
            ("data-00000-of-00002.arrow", "broken:"),
        ]


class TestGit:
    """Repositories at a revision."""

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        def git(*arguments: str) -> None:
            command = ["git", "-C", str(tmp_path / "r"), "-c", "user.name=x", "-c", "user.email=x"]
            subprocess.run([*command, *arguments], check=True, capture_output=True)

        (tmp_path / "r/src").mkdir(parents=True)
        (tmp_path / "r/src/a.py").write_text("x = 1\n")
        (tmp_path / "r/naïve.py").write_text("y = 1\n")
        (tmp_path / "r/b.bin").write_bytes(b"\0")
        (tmp_path / "r/link").symlink_to("src/a.py")
        git("init", "-q")
        git("add", "-A")
        git("commit", "-q", "-m", "one")
        git("tag", "v1")
        (tmp_path / "r/src/a.py").write_text("x = 2\n")
        git("commit", "-q", "-a", "-m", "two")
        (tmp_path / "r/src/a.py").write_text("x = 3\n")
        return tmp_path / "r"

    @pytest.mark.parametrize(("revision", "text"), [("v1", "x = 1\n"), ("HEAD", "x = 2\n")])
    def test_files_are_read_as_they_were(self, repository: Path, revision: str, text: str) -> None:
        found, skipped = read_corpus(repository, revision=revision)
        where = repository.as_posix()
        assert [(one.name, one.text) for one in found] == [
            (f"{where}/naïve.py", "y = 1\n"),
            (f"{where}/src/a.py", text),
        ]
        assert sorted(names_and_reasons(skipped)) == [
            ("b.bin", "binary"),
            ("link", "a symbolic link, which is not followed"),
        ]

    @pytest.mark.parametrize("revision", ["v2", "--help", "", "HEAD\n", "-"])
    def test_an_unknown_revision_is_refused(self, repository: Path, revision: str) -> None:
        with pytest.raises(BadInput, match="cannot be read by git") as caught:
            read_corpus(repository, revision=revision)
        assert "\n" not in str(caught.value)

    def test_what_is_not_a_repository_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="cannot be read by git"):
            read_corpus(tmp_path / "gone", revision="HEAD")


class TestStandardInput:
    """Standard input, given as `-`."""

    @pytest.mark.parametrize("blank", [b"", b"\n \n"])
    def test_records_are_read(self, blank: bytes) -> None:
        data = blank + b'{"text": "a"}\n{broken\n{"text": "b"}'
        found, skipped = read_corpus(Path("-"), stdin=io.BytesIO(data))
        first = 1 + blank.count(b"\n")
        assert found == [Text(f"stdin#{first}", "a"), Text(f"stdin#{first + 2}", "b")]
        assert skipped == [Skipped(f"stdin#{first + 1}", "not a JSON object")]

    @pytest.mark.parametrize("data", [b"", b"x = 1\r\n", b"\n\n{\n}\n"])
    def test_anything_else_is_one_text(self, data: bytes) -> None:
        found, _ = read_corpus(Path("-"), stdin=io.BytesIO(data))
        assert found == [Text("stdin", data.decode())]

    def test_an_endless_input_is_not_read_into_memory(self) -> None:
        class Endless(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                buffer[:] = b"x" * len(buffer)
                return len(buffer)

        _, skipped = read_corpus(Path("-"), stdin=io.BufferedReader(Endless()))
        assert skipped == [Skipped("stdin", "larger than 5 MiB")]

    def test_a_missing_standard_input_is_refused(self) -> None:
        with pytest.raises(BadInput, match="there is no standard input"):
            read_corpus(Path("-"))


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be scanned"):
        read_corpus(tmp_path / "gone")


def test_a_mix_keeps_the_order_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a")
    write_records(tmp_path / "b.jsonl", [{"text": "b"}])
    (tmp_path / "c.py").write_text("c")
    assert [text.text for text in read_corpus(tmp_path)[0]] == ["a", "b", "c"]
