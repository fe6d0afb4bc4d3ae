"""Probe a manifest of any size block by block. Imports no torch, which endpoints do not need."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from erasetest.probes.measure_store import Measure, ProbeStore
from erasetest.probes.measures import finite
from erasetest.samples import iter_manifest
from erasetest.support.atomic_files import writing
from erasetest.support.progress import Progress

BLOCK = 64
"""Number of samples that are measured and stored together. A constant, because the batch can change
the last bits of a measure: a resumed run measures the same blocks, and gets the same bits."""


def probe_manifest(
    measure: Measure,
    manifest: str | Path,
    output: str | Path,
    store: ProbeStore,
    *,
    total: int = 0,
    progress: Progress | None = None,
    block: int = BLOCK,
) -> None:
    """Write the measures of every sample of a manifest, one JSON object per line; all or nothing.

    Args:
        measure: measures samples.
        manifest: the samples, read block by block.
        output: file to write.
        store: keeps the measures of each block; blocks that it has are not measured again.
        total: number of samples in the manifest, for `progress`.
        progress: called with the number of finished samples and `total`.
        block: number of samples that are measured together.

    Raises:
        BadInput: a file cannot be read or written; blocks that were measured stay in the store.
    """
    samples = iter_manifest(manifest)
    done = 0
    with writing(output) as write:
        while part := list(itertools.islice(samples, block)):
            for sample in store.measured(part, measure):
                write(json.dumps(finite(sample.as_dict())) + "\n")
            done += len(part)
            if progress is not None:
                progress(done, total)
