"""`erasetest erase`: a checkpoint without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.shared_options import Loading, OutOption, check_files, takes_clm
from erasetest.erasing.methods import DEFAULT_METHOD, METHOD_NAMES, PRECISIONS
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
from erasetest.support.path_collisions import reads, writes_folder
from erasetest.support.progress import progress

_METHODS = ", ".join(METHOD_NAMES)


@takes_clm
def erase(
    manifest: Annotated[Path, typer.Argument(help="Samples whose secrets to erase.")],
    loading: Loading,
    output: OutOption,
    retain: Annotated[
        Path | None,
        typer.Option(
            help="Manifest of code whose behaviour must not change; else what the CLM writes."
        ),
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(help="Manifests erased before: checked, and erased again if they come back."),
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of {_METHODS}.")] = DEFAULT_METHOD,
    thresholds: Annotated[
        Path | None, typer.Option(help="Thresholds file; without it they are calibrated first.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; without it the width sets it.")
    ] = None,
    max_steps: Annotated[int, typer.Option(min=1, help="Give up after this many steps.")] = 200,
    lora: Annotated[
        int | None, typer.Option(min=1, metavar="RANK", help="Train a LoRA adapter of this rank.")
    ] = None,
    adapter_only: Annotated[
        bool, typer.Option(help="With --lora: write the adapter, not the CLM it is merged into.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help=f"Of forward passes: {', '.join(PRECISIONS)}.")
    ] = "auto",
    gradient_checkpointing: Annotated[
        bool, typer.Option(help="Less memory, a third more time.")
    ] = False,
    step_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a step read at a time; else all that fit.")
    ] = None,
) -> None:
    """Erase the secrets of a manifest from a CLM and write the checkpoint to a new folder.

    Status 1 when a secret is not erased: the checkpoint is written, and its card says so.
    """
    from erasetest.clm.erasure_records import check_new_checkpoint
    from erasetest.erasing import (
        ErasureSettings,
        Lora,
        check_request,
        count_unlisted_erasures,
        erase_to,
        self_generated_texts,
    )
    from erasetest.samples import read_manifest, read_manifests
    from erasetest.samples.retained import check_disjoint
    from erasetest.samples.secrecy import refuse_secrets_in_ids
    from erasetest.support.atomic_files import reserved
    from erasetest.verdict import calibrate as calibrate_on
    from erasetest.verdict import published, read_thresholds

    check_files(
        [
            *reads("MANIFEST", manifest),
            *reads("--retain", retain),
            *reads("--earlier", *(earlier or ())),
            *reads("--thresholds", thresholds),
            *loading.files(),
        ],
        writes_folder("--output", output),
    )
    check_new_checkpoint(output)
    loading.check()
    if adapter_only and lora is None:
        raise BadInput("--adapter-only: without --lora RANK there is no adapter to write")
    if adapter_only and loading.clm_adapter is not None:
        raise BadInput(
            "--adapter-only: the CLM has an adapter already, and a new one would belong to both "
            "together: leave --adapter-only out"
        )
    settings = ErasureSettings(
        method=method,
        lr=lr,
        max_steps=max_steps,
        lora=Lora(lora, merge=not adapter_only) if lora is not None else None,
        precision=precision,
        checkpointing=gradient_checkpointing,
        step_tokens=step_tokens,
    )
    samples = read_manifest(manifest)
    retained = read_manifest(retain, require_secrets=False) if retain else None
    before = _others(read_manifests(earlier), samples) if earlier else []
    everything = refuse_secrets_in_ids([*samples, *before], "of these manifests")
    samples, before = everything[: len(samples)], everything[len(samples) :]
    limits = read_thresholds(thresholds) if thresholds else None
    if limits is None and loading.clm_adapter is None:
        limits = published(loading.clm)
    if retained is not None:
        check_disjoint(everything, retained)
    with reserved(output):
        loaded = loading.load()
        check_request(output, loaded, samples, retained, settings, before)
        left = count_unlisted_erasures(loaded, everything)
        if left:
            typer.echo(
                f"erasetest: {left} samples were erased from {loading.clm} before and are not "
                "checked: name their manifest with --earlier",
                err=True,
            )
        if retained is None:
            with progress("writing retained code") as task:
                retained = self_generated_texts(loaded, everything, progress=task)
        calibrated = limits is None
        if limits is None:
            with progress("calibrating") as task:
                limits = calibrate_on(loaded, everything, progress=task)
        with progress("erasing") as task:
            erasure = erase_to(
                output,
                loaded,
                samples,
                retained,
                limits,
                settings,
                lambda step, expected: task(step.step, expected, step.note()),
                doing=task.doing,
                remark=task.remark,
                recalibrate=(lambda: calibrate_on(loaded, everything)) if calibrated else None,
                earlier=before,
            )
    word = "erased" if erasure.erased else f"NOT erased ({erasure.ended})"
    typer.echo(
        f"{output}: {word}, {erasure.steps} steps, {erasure.seconds:.1f} s; retained tokens "
        f"predicted {0 - 100 * erasure.retained_fall:+.2f} points"
        + (f"; {erasure.ranked()}" if erasure.rank is not None else "")
    )
    if erasure.restored:
        typer.echo(
            f"the loss was no number {erasure.restored} times: half the rate each time", err=True
        )
    if not erasure.erased:
        raise typer.Exit(1)


def _others(samples: list[SensitiveSample], asked: list[SensitiveSample]) -> list[SensitiveSample]:
    """Those that are not asked for anyway.

    Raises:
        BadInput: one id stands for two samples: neither could be told from the other.
    """
    known = {sample.id: sample for sample in asked}
    for sample in samples:
        if sample.id in known and known[sample.id].content != sample.content:
            raise BadInput(
                f"--earlier: sample {sample.id} is another one in the manifest to erase: "
                "give each an id of its own"
            )
    return [sample for sample in samples if sample.id not in known]
