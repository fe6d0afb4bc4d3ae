"""Probe a manifest of any size: block by block, each kept as soon as it is measured."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from erasetest.clm import Clm
from erasetest.files import writing
from erasetest.probes.measures import SampleMeasures, finite
from erasetest.probes.run import ProbeSettings, probe
from erasetest.probes.store import ProbeStore
from erasetest.samples import SensitiveSample, iter_manifest

BLOCK = 64
"""Samples that are measured together and kept together. Fixed: a run that goes on measures the same
blocks, and so the same numbers to the last bit."""


def probe_manifest(
    clm: Clm,
    manifest: str | Path,
    output: str | Path,
    settings: ProbeSettings,
    store: ProbeStore,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the measures of every sample of a manifest, one JSON object a line; all or nothing.

    What the store holds is not measured again. `progress` is told how many samples are done.

    Raises:
        BadInput: a file cannot be read or written; what was measured until then is kept.
    """
    with writing(output) as write:
        for measured in _measured(clm, iter_manifest(manifest), settings, store):
            for sample in measured:
                write(json.dumps(finite(sample.as_dict())) + "\n")
            if progress is not None:
                progress(len(measured))


def _measured(
    clm: Clm, samples: Iterable[SensitiveSample], settings: ProbeSettings, store: ProbeStore
) -> Iterator[list[SampleMeasures]]:
    rest = iter(samples)
    while block := list(itertools.islice(rest, BLOCK)):
        measured = store.get(block)
        if measured is None:
            measured = probe(clm, block, settings=settings)
            store.put(block, measured)
        yield measured
