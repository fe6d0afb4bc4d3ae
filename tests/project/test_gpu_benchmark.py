"""The benchmark for a GPU, with sizes that a CPU computes in seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tiny
from command_line import ENVIRONMENT

from erasetest.clm import Clm

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMMAND = [sys.executable, str(BENCHMARKS / "gpu.py")]
SMALL = ["--device", "cpu", "--small", "-o", "results"]


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    with mock.patch.object(sys, "path", [*sys.path, str(BENCHMARKS)]):
        yield


def _run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env={**ENVIRONMENT, **variables},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def _measured(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results/gpu.json").read_text())
    return found


def test_without_a_gpu_it_ends_with_one_line(tmp_path: Path) -> None:
    """And says what to do; nothing is written."""
    done = _run(tmp_path, "-o", "results", CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("gpu.py: this machine has no CUDA device: run it on one, or give")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_stops_and_resumes(tmp_path: Path) -> None:
    """Parts without time are named; a killed run keeps its parts; none is measured twice."""
    short = _run(tmp_path, *SMALL, "--seconds", "100")
    assert short.returncode == 1, short.stderr
    assert list(_measured(tmp_path)) == ["machine", "skipped", "tokenizers"]
    assert sorted(_measured(tmp_path)["skipped"]) == ["equality", "erasing", "throughput"]
    page = (tmp_path / "results/gpu.md").read_text()
    assert page.count("Skipped: ") == 3
    assert "s were left, and it may take 150" in page

    with subprocess.Popen(
        [*COMMAND, *SMALL], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline().startswith("equality: ")
        killed.kill()
    before = _measured(tmp_path)["equality"]

    done = _run(tmp_path, *SMALL, "--again", "tokenizers")
    assert done.returncode == 0, done.stderr
    lines = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert "equality" not in lines
    assert lines[-1] == "tokenizers"
    found = _measured(tmp_path)
    assert found["skipped"] == {}
    assert found["equality"] == before
    _check_figures(found)
    assert "Skipped" not in (tmp_path / "results/gpu.md").read_text()

    # Figures of other sizes or hardware are never mixed with these.
    path = tmp_path / "results/gpu.json"
    path.write_text(json.dumps({**found, "machine": {"device": "another"}}))
    refused = _run(tmp_path, *SMALL)
    assert refused.returncode == 1
    assert "was measured on another machine" in refused.stderr


def _check_figures(found: dict[str, Any]) -> None:
    assert found["machine"]["device"].startswith("CPU")
    same = found["equality"]["rows"]["cpu, float32"]
    assert same["equal"] is True
    assert same["verdicts"]["leak"] >= 2
    assert same["verdicts"]["pass"] >= 2
    assert same["largest difference of a margin"] == 0
    rounded = found["equality"]["rows"]["cpu, bfloat16"]
    assert rounded["dtype"] == "bfloat16"
    assert rounded["largest difference of a margin"] > 0
    for row in found["tokenizers"]["rows"].values():
        assert row["tokens are the same"] is row["equal"] is True
    for part in ("throughput", "erasing"):
        for row in found[part]["rows"].values():
            assert row["seconds"] > 0
            assert row["tokens/s"] == pytest.approx(row["tokens"] / row["seconds"], rel=0.05)
            assert row["peak MiB"] > 0
            base = found[part]["rows"][row["base"]]
            assert base["tokens"] == row["tokens"]
            assert row["times its base"] == pytest.approx(
                row["seconds"] / base["seconds"], rel=0.05, abs=0.02
            )
    assert "ours, codeeraser by LoRA" in found["erasing"]["rows"]


def test_a_difference_is_found() -> None:
    """Other weights give other margins and verdicts, which no tie explains."""
    from gpu_parts import compare, probed

    samples = [*tiny.PLANTED]
    recites, silent = (
        probed(clm, samples) for clm in (tiny.reciting("qwen2"), tiny.untrained("qwen2"))
    )
    same = compare(recites, recites)
    assert same["equal"] is True
    assert same["verdicts that differ"] == same["measures that differ"] == 0
    other = compare(recites, silent)
    assert other["equal"] is False
    assert other["verdicts that differ"] >= 2
    assert other["measures that differ"] > other["of them by ties"]
    assert other["largest difference of MA"] > 0.5


def test_a_difference_within_noise_is_equal() -> None:
    """Margins may differ by the noise of both, and by no more."""
    from gpu_parts import compare, probed

    clm: Clm = tiny.reciting("qwen2")
    one = probed(clm, tiny.PLANTED)
    within = replace(one, margins=[margin + 1.5 * one.noise for margin in one.margins])
    beyond = replace(one, margins=[margin + 2.5 * one.noise for margin in one.margins])
    assert compare(one, within)["equal"] is True
    assert compare(one, beyond)["equal"] is False


def test_a_part_that_takes_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is interrupted; one that fails is named too, and the parts after it are measured."""
    import gpu
    import torch

    def endless(_: object) -> dict[str, Any]:
        while True:
            time.sleep(0.01)

    def failing(_: object) -> dict[str, Any]:
        raise ValueError

    monkeypatch.setattr(
        gpu, "PARTS", {"endless": (endless, 0.1, "Endless"), "failing": (failing, 5, "Failing")}
    )
    found: dict[str, Any] = {"machine": {"device": "CPU"}}
    for part in gpu.PARTS:
        gpu.measure_part(part, gpu.Setup(torch.device("cpu"), True), 60, found)
    assert found["skipped"] == {
        "endless": "it took longer than 0.1 s", "failing": "it failed (ValueError)"
    }  # fmt: skip
    assert "Skipped: it failed (ValueError)." in gpu.as_markdown(found)


@pytest.mark.parametrize(
    ("device", "small", "said"),
    [("cpu", False, "give --small"), ("cpu", True, None), ("tpu", True, "'tpu' is unknown")],
)
def test_devices_that_cannot_be_measured(device: str, small: bool, said: str | None) -> None:
    """The reason says what to give instead."""
    import gpu

    problem = gpu.unusable(device, small=small)
    assert problem is None if said is None else said in problem
