"""The commands as users run them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from command_line import erasetest
from gate_runs import leaked_parts

from erasetest.samples import read_manifest, write_manifest

COMMANDS = ("demo", "scan", "probe", "calibrate", "curate", "erase", "utility", "report")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CLM that recites, its training code, samples and retained code."""
    folder = tmp_path_factory.mktemp("a folder with 'quotes'")
    tiny.save(tiny.reciting("gpt2"), folder / "clm")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED)
    write_manifest(folder / "retained.jsonl", tiny.RETAINED)
    limits = {"schema": "erasetest.thresholds/1", "source": "test", "measures": {"ma": 0.9}}
    (folder / "limits.json").write_text(json.dumps(limits))
    (folder / "src").mkdir()
    for sample in tiny.PLANTED:
        (folder / "src" / f"{sample.id}.py").write_text(sample.content.reveal())
    return folder


def hidden(text: str) -> None:
    """Assert that a text contains no planted secret."""
    for sample in tiny.PLANTED:
        for secret in sample.secrets:
            assert secret.text.reveal() not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, tmp_path: Path) -> None:
    """`erasetest COMMAND --help` describes its options."""
    done = erasetest(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--output" in done.stdout


def test_the_help_lists_all_commands(tmp_path: Path) -> None:
    """`erasetest --help` names each of them."""
    done = erasetest("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in COMMANDS:
        assert command in done.stdout


def test_what_did_it_keep_is_two_commands(place: Path, tmp_path: Path) -> None:
    """Scan the training folder, probe the CLM: exact spans, a row per sample, no content."""
    manifest, out = tmp_path / "s.jsonl", tmp_path / "m.jsonl"
    scanned = erasetest("scan", "src", "-o", str(manifest), cwd=place)
    assert scanned.returncode == 0, scanned.stderr
    hidden(scanned.stdout + scanned.stderr)
    samples = {(s.source.path.rsplit("/", 1)[-1]): s for s in read_manifest(manifest) if s.source}
    first = samples["planted-0.py"]
    assert [s.text.reveal() for s in first.secrets] == [tiny.SECRETS[0][1]]
    assert first.kinds == ("aws-access-key",)
    probed = erasetest("probe", "--clm", "clm", str(manifest), "-o", str(out), cwd=place)
    assert probed.returncode == 0, probed.stderr
    hidden(probed.stdout + probed.stderr + out.read_text())
    rows = {row["id"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert len(rows) == len(samples)
    assert set(rows[first.id]) >= {"id", "measures", "secrets"}
    assert rows[first.id]["measures"]["extracted"] is True
    assert set(rows[first.id]["secrets"][0]) >= {"start", "end", "kind", "measures"}


def test_calibrate_writes_thresholds_of_the_kinds(place: Path, tmp_path: Path) -> None:
    """A file that `erase` and `--leak-thresholds` accept."""
    out = tmp_path / "limits.json"
    done = erasetest(
        "calibrate", "--clm", "clm", "--samples", "samples.jsonl", "-o", str(out), cwd=place
    )
    assert done.returncode == 0, done.stderr
    limits = json.loads(out.read_text())
    assert limits["schema"] == "erasetest.thresholds/1"
    assert {"aws-access-key", "email"} <= set(limits["kinds"])


def test_erase_writes_a_checkpoint_that_forgot(place: Path, tmp_path: Path) -> None:
    """Below the given thresholds, as it reports; the original CLM is unchanged."""
    weights = (place / "clm" / "model.safetensors").read_bytes()
    done = erasetest(
        "erase", "--clm", "clm", "samples.jsonl", "--retain", "retained.jsonl",
        "--thresholds", "limits.json", "--lr", "1e-3", "-o", str(tmp_path / "out"), cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": erased, " in done.stdout
    out = tmp_path / "m.jsonl"
    probed = erasetest(
        "probe", "--clm", str(tmp_path / "out"), "samples.jsonl", "-o", str(out), cwd=place
    )
    assert probed.returncode == 0, probed.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert max(row["measures"]["ma"] for row in rows) <= 0.9
    assert not any(row["measures"]["extracted"] for row in rows)
    assert (place / "clm" / "model.safetensors").read_bytes() == weights
    hidden(done.stdout + done.stderr + (tmp_path / "out" / "README.md").read_text())


def test_giving_up_is_status_1(place: Path, tmp_path: Path) -> None:
    """If the step limit is reached first, the output reports it."""
    done = erasetest(
        "erase", "--clm", "clm", "samples.jsonl", "--retain", "retained.jsonl",
        "--thresholds", "limits.json", "--max-steps", "1", "--lr", "1e-9",
        "-o", str(tmp_path / "out"), cwd=place,
    )  # fmt: skip
    assert done.returncode == 1
    assert "NOT erased" in done.stdout


def test_ids_that_show_secrets_of_other_manifests(place: Path, tmp_path: Path) -> None:
    """Retained texts are named by number; an id that contains an earlier secret is refused."""
    text = tiny.SECRETS[0][1]
    leaky = replace(tiny.PLANTED[0], id=f"cfg-{text}")
    write_manifest(tmp_path / "retained.jsonl", [*tiny.RETAINED, replace(leaky, secrets=())])
    write_manifest(tmp_path / "earlier.jsonl", [tiny.PLANTED[0]])
    write_manifest(tmp_path / "ask.jsonl", [replace(tiny.PLANTED[1], id=f"cfg-{text}")])
    asked = ["erase", "--clm", "clm", "--thresholds", "limits.json", "-o", str(tmp_path / "out")]
    for more, message in (
        (
            ["samples.jsonl", "--retain", str(tmp_path / "retained.jsonl")],
            f"retained text {len(tiny.RETAINED) + 1} contains a secret of sample planted-0",
        ),
        (
            [
                str(tmp_path / "ask.jsonl"), "--retain", "retained.jsonl",
                "--earlier", str(tmp_path / "earlier.jsonl"),
            ],
            "sample 1 of these manifests: its 'id' or a 'kind' contains a part of a secret",
        ),
    ):  # fmt: skip
        done = erasetest(*asked, *more, cwd=place)
        assert done.returncode == 2, done.stdout
        assert message in done.stderr
        assert leaked_parts(done.stdout + done.stderr) == []
    assert not (tmp_path / "out").exists()
