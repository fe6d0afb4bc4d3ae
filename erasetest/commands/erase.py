"""`erasetest erase`: a checkpoint without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.options import (
    AdapterOption,
    ClmOption,
    DeviceOption,
    DtypeOption,
    OutOption,
    PickleOption,
    RemoteOption,
    TokensOption,
    load,
)
from erasetest.names import DEFAULT_METHOD, METHODS
from erasetest.progress import progress


def erase(
    manifest: Annotated[Path, typer.Argument(help="Samples whose secrets to erase.")],
    clm: ClmOption,
    retain: Annotated[Path, typer.Option(help="Manifest of code whose behaviour must not change.")],
    output: OutOption,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = DEFAULT_METHOD,
    thresholds: Annotated[
        Path | None, typer.Option(help="Thresholds file; without it they are calibrated first.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; without it the width sets it.")
    ] = None,
    max_steps: Annotated[int, typer.Option(min=1, help="Give up after this many steps.")] = 200,
    clm_adapter: AdapterOption = None,
    clm_device: DeviceOption = "auto",
    clm_dtype: DtypeOption = "auto",
    clm_batch_tokens: TokensOption = None,
    clm_allow_pickle: PickleOption = False,
    clm_trust_remote_code: RemoteOption = False,
) -> None:
    """Erase the secrets of a manifest from a CLM and write the checkpoint to a new folder.

    Status 1 when a secret is not erased: the checkpoint is written, and its card says so.
    """
    from erasetest.erase import ErasureSettings, save_checkpoint
    from erasetest.erase import erase as erase_samples
    from erasetest.files import check_new_directory
    from erasetest.names import check_clm_name
    from erasetest.samples import read_manifest
    from erasetest.verdict import calibrate as calibrate_on
    from erasetest.verdict import published, read_thresholds

    check_new_directory(output)
    check_clm_name(clm, clm_adapter)
    settings = ErasureSettings(method=method, lr=lr, max_steps=max_steps)
    samples = read_manifest(manifest)
    retained = read_manifest(retain, require_secrets=False)
    limits = read_thresholds(thresholds) if thresholds else None
    if limits is None and clm_adapter is None:
        limits = published(clm)
    loaded = load(
        clm, clm_adapter, clm_device, clm_dtype, clm_batch_tokens, clm_allow_pickle,
        clm_trust_remote_code,
    )  # fmt: skip
    calibrated = limits is None
    if limits is None:
        with progress("calibrating") as task:
            limits = calibrate_on(loaded, samples, progress=task)
    with progress("erasing") as task:
        erasure = erase_samples(
            loaded,
            samples,
            retained,
            limits,
            settings,
            lambda step, limit: task(step.step, limit, step.note()),
            recalibrate=(lambda: calibrate_on(loaded, samples)) if calibrated else None,
        )
    save_checkpoint(loaded, output, erasure, samples)
    word = "erased" if erasure.erased else f"NOT erased ({erasure.ended})"
    typer.echo(f"{output}: {word}, {erasure.steps} steps, {erasure.seconds:.1f} s")
    if not erasure.erased:
        raise typer.Exit(1)
