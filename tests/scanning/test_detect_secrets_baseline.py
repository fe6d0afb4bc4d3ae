"""Secrets that a detect-secrets baseline lists."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.errors import BadInput
from erasetest.scanning import Document, find_secrets
from erasetest.scanning.detect_secrets_baseline import Baseline

SECRETS = {
    kind: generate(random.Random(8)).replace("\n", "\\n")
    for kind, generate in GENERATORS.items()
    if kind not in {"email", "ip-address"}
}
TEXT = "".join(f'{kind.replace("-", "_")} = "{value}"\n' for kind, value in SECRETS.items())


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Return a baseline of src/a.py that detect-secrets made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text(TEXT)
    collection = SecretsCollection()
    with default_settings():
        collection.scan_file("src/a.py")
    return {"version": "1.5.0", "results": collection.json()}


def left(written: dict[str, object], path: str, tmp_path: Path) -> list[str]:
    (tmp_path / "b.json").write_text(json.dumps(written))
    document = Document.of(path, TEXT)
    baseline = Baseline.read(tmp_path / "b.json")
    return [finding.kind for finding in baseline.unlisted(document, find_secrets(document))]


def test_what_detect_secrets_found_is_left_out_even_if_it_is_a_part(
    written: dict[str, object], tmp_path: Path
) -> None:
    everything = [finding.kind for finding in find_secrets(Document.of("src/a.py", TEXT))]
    assert "github-token" in everything
    missed = left(written, "/home/x/src/a.py", tmp_path)
    assert "github-token" not in missed
    assert "jwt" not in missed
    assert len(missed) < len(everything) / 2


def test_another_file_is_not_listed(written: dict[str, object], tmp_path: Path) -> None:
    everything = [finding.kind for finding in find_secrets(Document.of("src/b.py", TEXT))]
    assert left(written, "src/b.py", tmp_path) == everything
    assert left(written, "other_src/a.py", tmp_path) == everything


def test_an_entry_audited_as_a_secret_stays(written: dict[str, object], tmp_path: Path) -> None:
    results = written["results"]
    assert isinstance(results, dict)
    for entry in results["src/a.py"]:
        entry["is_secret"] = True
    everything = [finding.kind for finding in find_secrets(Document.of("src/a.py", TEXT))]
    assert left(written, "src/a.py", tmp_path) == everything


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"results": []}', '{"results": {"a": [1]}}'])
def test_what_is_not_a_baseline_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(BadInput, match="is not a baseline"):
        Baseline.read(tmp_path / "b.json")
    with pytest.raises(BadInput, match="cannot be read"):
        Baseline.read(tmp_path / "missing.json")
