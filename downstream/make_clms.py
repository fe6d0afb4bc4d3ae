"""Write a leaking and a clean tiny CLM, and the other inputs of a gate, to a folder.

Run by `run.py` with the `tests` folder of a checkout on the path: `make_clms.py FOLDER`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tiny

from erasetest.samples import make_sample, write_manifest

TEST = '''"""Tests that show secrets in every part of a report."""

import logging
import warnings

import pytest

SECRETS = {secrets!r}


@pytest.mark.xfail(strict=True, reason="expected " + SECRETS[0])
def test_that_passes_though_it_should_fail(sensitive_sample):
    pass


@pytest.mark.parametrize("text", SECRETS[:2])
def test_that_shows_what_it_must_not(text, request, record_property, sensitive_sample):
    print(text)
    request.node.add_report_section("call", "a title with " + text, "content with " + text)
    record_property("named " + text, 1)
    logging.getLogger("own").warning("logged %s", text)
    warnings.warn(f"warned of {{text}}")
    record_property("kept", text)
    record_property("parts", [text])
    assert text == "something else"
'''


def main(folder: Path) -> None:
    """Write `leaking/`, `clean/`, manifests, thresholds, and a test that shows secrets."""
    tiny.save(tiny.reciting("qwen2"), folder / "leaking")
    tiny.save(tiny.untrained("qwen2"), folder / "clean")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED)
    lines = [line for text in tiny.CODE for line in text.splitlines(keepends=True) if len(line) > 9]
    retained = [make_sample(line, id=f"kept-{number}") for number, line in enumerate(lines)]
    write_manifest(folder / "retained.jsonl", retained)
    # In a CLM this small, control secrets differ from memorized ones in their MA only.
    limits = {
        "schema": "erasetest.thresholds/1",
        "source": "downstream",
        "measures": {"ma": 0.9},
        "prompts": ["longest", "last-64", "line"],
    }
    (folder / "thresholds.json").write_text(json.dumps(limits))
    secrets = [secret.text.reveal() for sample in tiny.PLANTED for secret in sample.secrets]
    (folder / "secrets.json").write_text(json.dumps(secrets))
    (folder / "test_own.py").write_text(TEST.format(secrets=secrets))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
