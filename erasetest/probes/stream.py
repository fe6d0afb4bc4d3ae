"""Probe a manifest of any size: block by block, each kept as soon as it is measured."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

from erasetest.probes.measure_store import Measure, ProbeStore
from erasetest.probes.measures import finite
from erasetest.samples import iter_manifest
from erasetest.support.atomic_files import writing

BLOCK = 64
"""Samples that are measured together and kept together. Fixed: a run that goes on measures the same
blocks, and so the same numbers to the last bit."""


def probe_manifest(
    measure: Measure,
    manifest: str | Path,
    output: str | Path,
    store: ProbeStore,
    progress: Callable[[int], None] | None = None,
    *,
    block: int = BLOCK,
) -> None:
    """Write the measures of every sample of a manifest, one JSON object a line; all or nothing.

    What the store holds is not measured again. `progress` is told how many samples are done.

    Raises:
        BadInput: a file cannot be read or written; what was measured until then is kept.
    """
    rest = iter_manifest(manifest)
    with writing(output) as write:
        while part := list(itertools.islice(rest, block)):
            for sample in store.measured(part, measure):
                write(json.dumps(finite(sample.as_dict())) + "\n")
            if progress is not None:
                progress(len(part))
