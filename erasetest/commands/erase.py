"""`erasetest erase`: a checkpoint without the secrets of a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erasetest.commands.shared_options import NamedClm, OutOption, check_files, with_options
from erasetest.erasing.erase_options import EraseOptions
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
from erasetest.support.path_collisions import reads, writes_folder
from erasetest.support.progress import progress

if TYPE_CHECKING:
    from erasetest.erasing import Erasure


@with_options
def erase(
    manifest: Annotated[Path, typer.Argument(help="Samples whose secrets to erase.")],
    output: OutOption,
    retain: Annotated[
        Path | None,
        typer.Option(
            help="Manifest of code whose behaviour must not change (default: code that the CLM "
            "generates)."
        ),
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(help="Manifests erased before: checked, and erased again if they return."),
    ] = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(
            help="Thresholds from 'erasetest calibrate' (default: published for the CLM, else "
            "calibrated first)."
        ),
    ] = None,
    *,
    options: EraseOptions,
    clm: NamedClm,
) -> None:
    """Erase the secrets of a manifest from a CLM, and write the checkpoint to a new folder.

    Status 1 if a secret is not erased: the checkpoint is written, and its model card reports it.
    """
    from erasetest.clm.erasure_records import check_new_checkpoint
    from erasetest.erasing import check_request, count_unlisted_erasures
    from erasetest.erasing.plan import ErasePlan, check_samples, fixed_thresholds
    from erasetest.samples import read_manifest, read_manifests
    from erasetest.support.atomic_files import reserved
    from erasetest.verdict import read_thresholds

    check_files(
        [
            *reads("MANIFEST", manifest),
            *reads("--retain", retain),
            *reads("--earlier", *(earlier or ())),
            *reads("--thresholds", thresholds),
            *clm.files(),
        ],
        writes_folder("--output", output),
    )
    check_new_checkpoint(output)
    clm.check()
    _check_adapter_only(options, clm)
    settings = options.settings()
    samples = read_manifest(manifest)
    retained = read_manifest(retain, require_secrets=False) if retain else None
    before = _without(read_manifests(earlier), samples) if earlier else []
    samples, before = check_samples(samples, before, retained)
    limits = fixed_thresholds(
        clm.clm,
        read_thresholds(thresholds) if thresholds else None,
        adapter=clm.loading.adapter is not None,
    )
    with reserved(output):
        loaded = clm.load()
        check_request(output, loaded, samples, retained, settings, before)
        left = count_unlisted_erasures(loaded, [*samples, *before])
        if left:
            typer.echo(
                f"erasetest: {left} samples were erased from {clm.clm} before and are not "
                "checked: name their manifest with --earlier",
                err=True,
            )
        plan = ErasePlan.resolve(
            loaded, samples, progress, earlier=before, retained=retained, thresholds=limits
        )
        with progress("erasing") as task:
            erasure = plan.erase(loaded, settings, output, task)
    _print_result(erasure, output)
    if not erasure.erased:
        raise typer.Exit(1)


def _check_adapter_only(options: EraseOptions, clm: NamedClm) -> None:
    if options.adapter_only and options.lora is None:
        raise BadInput("--adapter-only: without --lora RANK there is no adapter to write")
    if options.adapter_only and clm.loading.adapter is not None:
        raise BadInput(
            "--adapter-only: the CLM has an adapter already, and a new one would work only on top "
            "of it: leave --adapter-only out"
        )


def _print_result(erasure: Erasure, output: Path) -> None:
    word = "erased" if erasure.erased else f"NOT erased ({erasure.ended})"
    typer.echo(
        f"{output}: {word}, {erasure.steps} steps, {erasure.seconds:.1f} s; retained tokens "
        f"predicted {0 - 100 * erasure.retained_fall:+.2f} points"
        + (f"; {erasure.ranked()}" if erasure.rank is not None else "")
    )
    if erasure.restored:
        typer.echo(
            f"the loss became NaN or infinite {erasure.restored} times: learning rate halved each "
            "time",
            err=True,
        )


def _without(
    samples: list[SensitiveSample], excluded: list[SensitiveSample]
) -> list[SensitiveSample]:
    """Return the samples whose ids are not among the excluded ones.

    Raises:
        BadInput: two different samples have the same id.
    """
    known = {sample.id: sample for sample in excluded}
    for sample in samples:
        if sample.id in known and known[sample.id].content != sample.content:
            raise BadInput(
                f"--earlier: sample {sample.id} is another one in the manifest to erase: "
                "give each a unique id"
            )
    return [sample for sample in samples if sample.id not in known]
