"""`erasetest probe`: what a CLM has memorized of each secret."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erasetest.commands.shared_options import (
    NamedClmOrEndpoint,
    OutOption,
    check_files,
    with_options,
)
from erasetest.errors import BadInput
from erasetest.support.path_collisions import reads, writes
from erasetest.support.progress import progress

if TYPE_CHECKING:
    from erasetest.probes.measure_store import Measure

REFERENCES = 64
"""Decoys that exposure ranks each secret among."""

QUERIES = 20
"""Samples that are drawn per secret at an endpoint."""

_ENDPOINT_STORE_LIFETIME = 3600.0
"""Seconds for which stored answers of an endpoint are reused: its model can change unseen."""


@with_options
def probe(
    manifest: Annotated[Path, typer.Argument(help="Manifest of sensitive samples.")],
    output: OutOption,
    temperature: Annotated[float, typer.Option(help="Sampling temperature for log2_p.")] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(help="Top-k cut-off for log2_p (default: none).")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Top-p cut-off for log2_p (default: none).")
    ] = None,
    references: Annotated[
        int, typer.Option(min=0, help="Number of decoys that exposure ranks each secret among.")
    ] = REFERENCES,
    queries: Annotated[
        int, typer.Option(min=1, help="Samples to draw per secret at an endpoint.")
    ] = QUERIES,
    store: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps the measures for later runs (default: a hidden file beside the "
            "output, removed when the output is complete)."
        ),
    ] = None,
    *,
    clm: NamedClmOrEndpoint,
) -> None:
    """Measure what a CLM has memorized of each secret of a manifest.

    If it is stopped, the same command resumes.
    """
    from erasetest.probes.measure_store import check_store

    check_files(
        [*reads("MANIFEST", manifest), *clm.files()],
        [*writes("--output", output), *writes("--store", store)],
    )
    if store is not None:
        check_store(store)
    clm.check()
    count = probe_to(output, manifest, clm, (temperature, top_k, top_p), references, queries, store)
    from erasetest.support.atomic_files import is_stream

    typer.echo(f"{output}: {count} samples", err=is_stream(output))


def probe_to(
    output: Path,
    manifest: Path,
    clm: NamedClmOrEndpoint,
    sampler: tuple[float, int | None, float | None] = (1.0, None, None),
    references: int = REFERENCES,
    queries: int = QUERIES,
    store: Path | None = None,
) -> int:
    """Measure the samples of a manifest; a run that was stopped is resumed.

    Args:
        output: JSONL file to write, one row per sample.
        manifest: the samples.
        clm: the CLM, or an endpoint.
        sampler: temperature, top-k and top-p of `log2_p`.
        references: decoys that exposure ranks each secret among.
        queries: samples to draw per secret at an endpoint.
        store: file that keeps the measures for later runs; None for a hidden file beside the
            output, which is removed at the end.

    Returns:
        The number of samples.

    Raises:
        BadInput: the manifest or the CLM cannot be used.
    """
    from erasetest.endpoint.url import is_endpoint
    from erasetest.probes.manifest_probing import BLOCK, probe_manifest
    from erasetest.probes.measure_store import ProbeStore
    from erasetest.samples import check_manifest
    from erasetest.support.atomic_files import is_stream, reserved
    from erasetest.support.sidecars import sidecar

    # A run that writes to a pipe cannot be resumed: its reader has the first rows already.
    beside = None if is_stream(output) else sidecar(output, "store")
    block = BLOCK
    if is_endpoint(clm.clm):
        if store is not None:
            raise BadInput(
                "--store: a CLM behind a URL can change unseen, so its measures are not kept"
            )
        _remove_expired(beside)
        # One sample per block: each takes a server seconds, and its answer is stored at once.
        block = 1
        count = check_manifest(manifest)
        name, settings, measure = _endpoint_measure(clm.clm, queries)
    else:
        from erasetest.clm.sampler import Sampler
        from erasetest.probes import ProbeSettings
        from erasetest.probes import probe as probe_samples
        from erasetest.probes.measure_store import identity

        asked = ProbeSettings(Sampler(*sampler), references)
        count = check_manifest(manifest)
        loaded = clm.load()
        name, settings = identity(loaded), asked.as_dict()
        measure = functools.partial(probe_samples, loaded, settings=asked)
    with contextlib.ExitStack() as stack:
        if beside is not None:
            stack.enter_context(reserved(output))
        kept = ProbeStore(store or beside, name, settings)
        stack.callback(kept.close)
        with progress("probing") as task:
            probe_manifest(measure, manifest, output, kept, total=count, progress=task, block=block)
        if store is None:
            kept.remove()
    return count


def _remove_expired(store: Path | None) -> None:
    """Remove the stored answers of an endpoint once they are too old to be resumed from."""
    if store is None or not store.exists():
        return
    if time.time() - store.stat().st_mtime > _ENDPOINT_STORE_LIFETIME:
        store.unlink()


def _endpoint_measure(url: str, queries: int) -> tuple[str, dict[str, Any], Measure]:
    """Return the identity of an endpoint, its settings, and a function that probes samples."""
    from erasetest.endpoint import Endpoint, EndpointOptions, probe_endpoint

    endpoint = Endpoint(url, EndpointOptions(samples=queries))
    return (
        f"{url} {endpoint.fingerprint}",
        {"queries": queries},
        functools.partial(probe_endpoint, endpoint),
    )
