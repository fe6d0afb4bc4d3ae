"""A folder that commands run in: a tiny CLM that recites secrets, and files of every kind."""

from __future__ import annotations

import json
import random
from pathlib import Path

import tiny

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples import SensitiveSample, make_sample, write_manifest


def make_place(folder: Path) -> Path:
    """Fill a folder, and return it."""
    tiny.save(tiny.reciting("qwen2"), folder / "clm")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED)
    write_manifest(folder / "retained.jsonl", tiny.RETAINED)
    write_manifest(folder / "unseen.jsonl", unseen())
    limits = {
        "schema": "erasetest.thresholds/1",
        "source": "test",
        "measures": {"ma": 0.9},
        "prompts": ["longest", "last-64", "line"],
    }
    (folder / "limits.json").write_text(json.dumps(limits))
    (folder / "src").mkdir()
    for sample in tiny.PLANTED:
        (folder / "src" / f"{sample.id}.py").write_text(sample.content.reveal())
    (folder / "problems.jsonl").write_text(
        # The function body that the tiny CLM recites uses an undefined name.
        '{"task_id": "t/1", "prompt": "def options():\\n", "entry_point": "options", "test": '
        '"def check(f):\\n    try:\\n        f()\\n    except NameError:\\n        return\\n'
        '    assert False\\n"}\n'
    )
    return folder


def unseen() -> list[SensitiveSample]:
    """Return control secrets, five of each of two kinds, that no CLM was trained on."""
    rng, samples = random.Random(4), []
    for kind in ("aws-access-key", "email"):
        for number in range(5):
            content = f'key = "{GENERATORS[kind](rng)}"\n'
            samples.append(
                make_sample(content, [(7, len(content) - 2, kind)], id=f"{kind}-{number}")
            )
    return samples
