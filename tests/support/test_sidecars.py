"""Names of the hidden files beside an output."""

from __future__ import annotations

from pathlib import Path

import pytest

from erasetest.support.sidecars import (
    is_sidecar,
    remove_temporary_sidecars,
    sidecar,
    temporary_prefix,
    temporary_sidecar,
)


def test_a_sidecar_is_hidden_beside_its_output(tmp_path: Path) -> None:
    """Its name holds the output's name and the purpose."""
    assert sidecar(tmp_path / "a.jsonl", "lock") == tmp_path / ".a.jsonl.erasetest-lock"
    assert temporary_sidecar(tmp_path / "a", "x") == tmp_path / ".a.erasetest-tmp-x"
    assert temporary_prefix(tmp_path / "a") == ".a.erasetest-tmp-"


def test_a_sidecar_of_a_sidecar_is_one_of_the_output(tmp_path: Path) -> None:
    """So that what is known of the output's sidecars is true of all of them."""
    samples = sidecar(tmp_path / "a", "samples")
    assert sidecar(samples, "scan") == tmp_path / ".a.erasetest-samples-scan"
    assert is_sidecar(sidecar(samples, "scan"), tmp_path / "a")
    assert temporary_prefix(samples) == ".a.erasetest-samples-tmp-"


def test_all_names_of_an_output_share_its_sidecars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative or absolute, and through a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    monkeypatch.chdir(tmp_path)
    for name in ("link", str(tmp_path / "link"), "real/a"):
        assert sidecar(name, "lock") == tmp_path / "real" / ".a.erasetest-lock"
        assert is_sidecar(tmp_path / "real" / ".a.erasetest-lock", Path(name))


def test_other_files_are_no_sidecars(tmp_path: Path) -> None:
    """Those of another output, in another folder, not hidden, or without the mark."""
    output = tmp_path / "a"
    for name in ("a", ".a", ".a.lock", ".ab.erasetest-1", "a.erasetest-1", "x/.a.erasetest-1"):
        assert not is_sidecar(tmp_path / name, output)
    assert is_sidecar(tmp_path / ".a.erasetest-store-wal", output)


def test_only_temporary_sidecars_of_the_output_are_removed(tmp_path: Path) -> None:
    """States and locks stay, and so do the temporary files of other outputs."""
    output = tmp_path / "a"
    kept = [sidecar(output, "scan"), temporary_sidecar(tmp_path / "ab", "x"), output]
    removed = [temporary_sidecar(output, "x"), temporary_sidecar(output, "y")]
    for path in (*kept, *removed):
        path.touch()
    remove_temporary_sidecars(output)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
