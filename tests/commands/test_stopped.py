"""Commands that Ctrl-C stops while they work."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import command_line
import tiny

from erasetest.samples import make_sample, write_manifest

PATIENCE = 60.0


def _stopped_at(title: str, arguments: Sequence[str], cwd: Path) -> tuple[int, str, str]:
    """Send Ctrl-C when the progress bar of this title appears; return status, output, terminal."""
    ours, theirs = pty.openpty()
    process = command_line.start(
        "erasetest.cli", *arguments, cwd=cwd, variables={"TERM": "xterm"},
        stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown, sent, deadline = b"", False, time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                shown += os.read(ours, 4096)
            except OSError:  # Linux raises EIO when the other side is closed
                break
            if not sent and title.encode() in shown:
                time.sleep(0.3)
                assert process.poll() is None, "it was done already"
                process.send_signal(signal.SIGINT)
                sent = True
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert sent, shown
    return process.returncode, output, shown.decode()


def test_ctrl_c_while_probing(place: Path, tmp_path: Path) -> None:
    """Status 130, one line, no traceback; the earlier output is kept, no partial one is left."""
    spans = [(sample, sample.secrets[0]) for sample in tiny.PLANTED * 300]
    many = [
        make_sample(sample.content.reveal(), [(secret.start, secret.end, "k")], id=str(number))
        for number, (sample, secret) in enumerate(spans)
    ]
    write_manifest(tmp_path / "many.jsonl", many)
    (tmp_path / "out.jsonl").write_text("older")
    arguments = ["probe", "many.jsonl", "--clm", str(place / "clm"), "-o", "out.jsonl"]
    status, output, shown = _stopped_at("probing", arguments, tmp_path)
    assert status == 130, shown
    assert output == ""
    assert "erasetest: stopped" in shown.splitlines()[-1]
    assert "Traceback" not in shown
    assert (tmp_path / "out.jsonl").read_text() == "older"
    assert {p.name for p in tmp_path.iterdir()} - {".out.jsonl.erasetest-store"} == {
        "many.jsonl",
        "out.jsonl",
    }


def test_ctrl_c_while_erasing(place: Path, tmp_path: Path) -> None:
    """No checkpoint is left, complete or partial; the same command can be run again."""
    arguments = [
        "erase", str(place / "samples.jsonl"), "--clm", str(place / "clm"),
        "--retain", str(place / "retained.jsonl"), "--thresholds", str(place / "limits.json"),
        "--lr", "1e-9", "--max-steps", "100000", "-o", "new",
    ]  # fmt: skip
    status, output, shown = _stopped_at("erasing", arguments, tmp_path)
    assert status == 130, shown
    assert output == ""
    assert "erasetest: stopped" in shown.splitlines()[-1]
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []
