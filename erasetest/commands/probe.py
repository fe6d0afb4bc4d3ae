"""`erasetest probe`: what a CLM remembers of each secret."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erasetest.commands.shared_options import Loading, OutOption, check_files, takes_clm
from erasetest.errors import BadInput
from erasetest.support.path_collisions import reads, writes
from erasetest.support.progress import Task, progress

if TYPE_CHECKING:
    from erasetest.probes.measure_store import Measure

REFERENCES = 64
QUERIES = 20

_SOON = 3600.0
"""Seconds after which what an endpoint said is asked again."""


@takes_clm
def probe(
    manifest: Annotated[Path, typer.Argument(help="Manifest of sensitive samples.")],
    loading: Loading,
    output: OutOption,
    temperature: Annotated[float, typer.Option(help="Of the sampler of log2_p.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Of the sampler of log2_p.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Of the sampler of log2_p.")] = None,
    references: Annotated[
        int, typer.Option(min=0, help="Never-seen secrets that exposure ranks each one among.")
    ] = REFERENCES,
    queries: Annotated[
        int, typer.Option(min=1, help="Samples drawn of each secret at an endpoint.")
    ] = QUERIES,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Keep what is measured in this file; by default beside the output, until "
            "that is whole."
        ),
    ] = None,
) -> None:
    """Measure what a CLM remembers of each secret of a manifest.

    Stopped, the same command goes on where it was.
    """
    from erasetest.probes.measure_store import check_store

    check_files(
        [*reads("MANIFEST", manifest), *loading.files()],
        [*writes("--output", output), *writes("--store", store)],
    )
    if store is not None:
        check_store(store)
    loading.check(endpoint=True)
    count = probe_to(
        output, manifest, loading, (temperature, top_k, top_p), references, queries, store
    )
    from erasetest.support.atomic_files import is_stream

    typer.echo(f"{output}: {count} samples", err=is_stream(output))


def probe_to(
    output: Path,
    manifest: Path,
    loading: Loading,
    sampler: tuple[float, int | None, float | None] = (1.0, None, None),
    references: int = REFERENCES,
    queries: int = QUERIES,
    store: Path | None = None,
) -> int:
    """Measure the samples of a manifest; how many there are. Stopped, it goes on where it was."""
    from erasetest.endpoint.url import is_endpoint
    from erasetest.probes.measure_store import ProbeStore
    from erasetest.probes.stream import BLOCK, probe_manifest
    from erasetest.samples import check_manifest
    from erasetest.support.atomic_files import is_stream, reserved

    # What goes down a pipe cannot be gone on with.
    beside = None if is_stream(output) else output.resolve().with_name(f".{output.name}.store")
    block = BLOCK
    if is_endpoint(loading.clm):
        if store is not None:
            raise BadInput("--store: a CLM behind a URL can change unseen: nothing of it is kept")
        _forget_old(beside)
        # One at a time: each takes a server seconds, and what it said is kept at once.
        block = 1
        count = check_manifest(manifest)
        name, settings, measure = _from_endpoint(loading.clm, queries)
    else:
        from erasetest.clm.sampler import Sampler
        from erasetest.probes import ProbeSettings
        from erasetest.probes import probe as probe_samples
        from erasetest.probes.measure_store import identity

        asked = ProbeSettings(Sampler(*sampler), references)
        count = check_manifest(manifest)
        loaded = loading.load()
        name, settings = identity(loaded), asked.as_dict()
        measure = functools.partial(probe_samples, loaded, settings=asked)
    with contextlib.ExitStack() as held:
        if beside is not None:
            held.enter_context(reserved(output))
        kept = ProbeStore(store or beside, name, settings)
        held.callback(kept.close)
        with progress("probing") as task:
            probe_manifest(measure, manifest, output, kept, _counted(task, count), block=block)
        if store is None:
            kept.remove()
    return count


def _forget_old(store: Path | None) -> None:
    """Measures of an endpoint are gone on with soon after they were stopped, or not at all."""
    if store is not None and store.exists() and time.time() - store.stat().st_mtime > _SOON:
        store.unlink()


def _from_endpoint(url: str, queries: int) -> tuple[str, dict[str, Any], Measure]:
    from erasetest.endpoint import Endpoint, EndpointOptions, probe_endpoint

    endpoint = Endpoint(url, EndpointOptions(samples=queries))
    return (
        f"{url} {endpoint.fingerprint}",
        {"queries": queries},
        functools.partial(probe_endpoint, endpoint),
    )


def _counted(task: Task, total: int) -> Callable[[int], None]:
    """Show a sum of parts."""
    done = 0

    def add(part: int) -> None:
        nonlocal done
        done += part
        task(done, total)

    return add
