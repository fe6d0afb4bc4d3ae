"""The whole work by `import erasetest`, on a CLM that recites."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny

import erasetest
from erasetest.clm import Clm
from erasetest.endpoint import Endpoint

PROBLEM = {
    "task_id": "t/0",
    "prompt": "def one():\n",
    "entry_point": "one",
    "canonical_solution": "    return 1\n",
    "test": "def check(f):\n    assert f() == 1\n",
}


@pytest.fixture
def clm(leaking: Path) -> Clm:
    """The reciting CLM, fresh for each test."""
    model = erasetest.load(str(leaking / "clm"), device="cpu")
    assert isinstance(model, Clm)
    return model


def test_from_a_folder_to_an_erased_checkpoint(clm: Clm, leaking: Path, tmp_path: Path) -> None:
    """Load, probe, judge, erase, and judge the checkpoint that was written."""
    samples = erasetest.read_samples(leaking / "samples.jsonl")
    limits = erasetest.read_thresholds(leaking / "thresholds.json")
    kept = erasetest.read_samples(leaking / "retained.jsonl", require_secrets=False)
    verdicts = [erasetest.judge(m, limits).verdict for m in erasetest.probe(clm, samples)]
    leaks = [s for s, verdict in zip(samples, verdicts, strict=True) if verdict == "leak"]
    assert 0 < len(leaks) < len(samples)
    erasure = erasetest.erase(clm, leaks, tmp_path / "erased", retain=kept, thresholds=limits)
    assert erasure.erased
    erased = erasetest.load(str(tmp_path / "erased"), device="cpu")
    after = [erasetest.judge(m, limits).verdict for m in erasetest.probe(erased, samples)]
    assert set(after) == {"pass"}


def test_erasing_in_place_writes_nothing(clm: Clm, leaking: Path) -> None:
    """Without an output the CLM is changed, and that is all."""
    (sample,) = tiny.PLANTED[:1]
    limits = erasetest.read_thresholds(leaking / "thresholds.json")
    before = sorted(leaking.rglob("*"))
    assert erasetest.erase(clm, [sample], retain=tiny.RETAINED, thresholds=limits).erased
    (measures,) = erasetest.probe(clm, [sample])
    assert erasetest.judge(measures, limits).verdict == "pass"
    assert sorted(leaking.rglob("*")) == before


def test_calibrate_finds_thresholds_of_the_kinds(clm: Clm) -> None:
    """Decoys in the samples' places are the control secrets."""
    thresholds = erasetest.calibrate(clm, tiny.PLANTED[:1], references=4)
    assert set(thresholds.kinds) == {secret.kind for secret in tiny.PLANTED[0].secrets}


def test_exposure_is_measured_where_references_are_given(clm: Clm) -> None:
    """And left out where none are."""
    (plain,) = erasetest.probe(clm, tiny.PLANTED[:1])
    (ranked,) = erasetest.probe(clm, tiny.PLANTED[:1], references=8)
    assert "exposure" not in plain.secrets[0].measures
    assert ranked.secrets[0].measures["exposure"] > 3  # more likely than each of 8 = 2^3 decoys


def test_a_scan_returns_the_samples(tmp_path: Path) -> None:
    """And writes a manifest only where one is asked for."""
    code = tmp_path / "corpus" / "settings.py"
    code.parent.mkdir()
    code.write_text("TOKEN = None\n")
    assert erasetest.scan(code.parent).samples == []
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    code.write_text(f'TOKEN = "{secret[:40]}"\n')
    found = erasetest.scan(code.parent)
    assert [sample.kinds for sample in found.samples] == [("github-token",)]
    assert found.summary.texts == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["corpus", "settings.py"]
    again = erasetest.scan(code.parent, output=tmp_path / "m.jsonl")
    assert erasetest.read_samples(tmp_path / "m.jsonl") == again.samples


def test_evaluate_and_compare(clm: Clm, tmp_path: Path) -> None:
    """A CLM against itself has not changed; the sandbox says what held."""
    (tmp_path / "problems.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    problems = erasetest.read_problems(tmp_path / "problems.jsonl")
    score = erasetest.evaluate(clm, problems, samples=2, max_tokens=8)
    comparison = erasetest.compare(score, score)
    assert comparison.mean == 0
    assert set(score.pass_at_k) >= {"pass@1"}


def test_an_endpoint_is_probed_like_a_clm(urls: dict[bool, str]) -> None:
    """The same functions, by a URL."""
    model = erasetest.load(urls[True], queries=2)
    assert isinstance(model, Endpoint)
    (found,) = erasetest.probe(model, tiny.PLANTED[-1:])
    assert found.secrets[0].measures["extracted"] is True


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"name": "nowhere/at/all"}, "nowhere/at/all: no such folder"),
        ({"name": "demo:bert"}, "no demo family 'bert'"),
    ],
)
def test_bad_input_is_an_error_that_names_it(given: dict[str, str], named: str) -> None:
    """One class for everything that a caller can mend."""
    with pytest.raises(erasetest.BadInput, match=named):
        erasetest.load(**given)
    with pytest.raises(erasetest.BadInput, match="min_confidence 'sure'"):
        erasetest.scan(".", min_confidence="sure")
