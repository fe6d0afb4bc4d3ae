"""The command line. Every command ends with status 2 and one line where its input is bad."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erasetest import __version__
from erasetest.errors import BadInput, ErasetestError
from erasetest.progress import Task, progress

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.probes.store import Measure

app = typer.Typer(
    name="erasetest",
    help="Privacy regression tests for code language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_SOON = 3600.0
"""Seconds after which what an endpoint said is asked again."""

_STOPPED = 130
"""What a shell says of a program that Ctrl-C ended."""

ClmOption = Annotated[
    str,
    typer.Option(
        "--clm",
        help="Folder, hub id, demo, demo:gpt2, demo:codegen, demo:qwen2; to probe, a URL too.",
    ),
]
OutOption = Annotated[Path, typer.Option("-o", "--output", help="Where to write.")]
AdapterOption = Annotated[
    str | None, typer.Option("--clm-adapter", help="Folder of a PEFT adapter for the CLM.")
]
DeviceOption = Annotated[str, typer.Option("--clm-device", help="auto, cpu, cuda or cuda:N.")]
DtypeOption = Annotated[
    str, typer.Option("--clm-dtype", help="auto, float32, bfloat16 or float16.")
]
TokensOption = Annotated[
    int | None, typer.Option("--clm-batch-tokens", min=1, help="Tokens in one forward pass.")
]
PickleOption = Annotated[
    bool, typer.Option("--clm-allow-pickle", help="Load pickled weights, which can run code.")
]
RemoteOption = Annotated[
    bool, typer.Option("--clm-trust-remote-code", help="Run code that comes with the checkpoint.")
]


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"erasetest {__version__}")
        raise typer.Exit


@app.command()
def demo(
    output: OutOption,
    family: Annotated[str, typer.Option(help="qwen2, codegen or gpt2.")] = "qwen2",
) -> None:
    """Build the demo CLM and write it with its samples, retained code and problems."""
    from erasetest.demo.build import check_family, write_demo
    from erasetest.files import check_new_directory

    check_family(family)
    check_new_directory(output)
    with progress(f"training the demo CLM ({family})") as task:
        write_demo(output, family, task)
    typer.echo(f"{output}: clm/, samples.jsonl, unseen.jsonl, retained.jsonl, problems.jsonl, …")


@app.command()
def scan(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders of source code.")],
    output: OutOption,
) -> None:
    """Find secrets in source code and write them as a manifest of samples."""
    from tabulate import tabulate

    from erasetest.samples import write_manifest
    from erasetest.scan import scan_paths

    check_output(output)
    with progress("scanning") as task:
        result = scan_paths(paths, progress=task)
    typer.echo(f"{result.files} files scanned, {len(result.samples)} samples found")
    rows = sorted(result.counts.items())
    if rows:
        typer.echo(tabulate(rows, headers=["kind", "places"]))
    if result.duplicates:
        typer.echo(f"{result.duplicates} samples stood elsewhere already, and are listed once")
    if result.latin1:
        typer.echo(f"{len(result.latin1)} files are not UTF-8 and were read as Latin-1")
    for skipped in result.skipped:
        typer.echo(f"skipped {skipped.path}: {skipped.reason}", err=True)
    if not result.samples:
        raise BadInput("no secret found: no manifest was written")
    write_manifest(output, result.samples)


@app.command()
def probe(
    manifest: Annotated[Path, typer.Argument(help="Manifest of sensitive samples.")],
    clm: ClmOption,
    output: OutOption,
    clm_adapter: AdapterOption = None,
    clm_device: DeviceOption = "auto",
    clm_dtype: DtypeOption = "auto",
    clm_batch_tokens: TokensOption = None,
    clm_allow_pickle: PickleOption = False,
    clm_trust_remote_code: RemoteOption = False,
    temperature: Annotated[float, typer.Option(help="Of the sampler of log2_p.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Of the sampler of log2_p.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Of the sampler of log2_p.")] = None,
    references: Annotated[
        int, typer.Option(min=0, help="Never-seen secrets that exposure ranks each one among.")
    ] = 64,
    queries: Annotated[
        int, typer.Option(min=1, help="Samples drawn of each secret at an endpoint.")
    ] = 20,
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
    from erasetest.files import is_stream, reserved
    from erasetest.names import check_clm_name, is_endpoint
    from erasetest.probes.store import ProbeStore
    from erasetest.probes.stream import BLOCK, probe_manifest
    from erasetest.samples import check_manifest

    check_output(output, manifest)
    if store is not None:
        check_output(store, manifest, output)
    check_clm_name(clm, clm_adapter, endpoint=True)
    # What goes down a pipe cannot be gone on with.
    beside = None if is_stream(output) else output.absolute().with_name(f".{output.name}.store")
    block = BLOCK
    if is_endpoint(clm):
        if store is not None:
            raise BadInput("--store: a CLM behind a URL can change unseen: nothing of it is kept")
        _forget_old(beside)
        # One at a time: each takes a server seconds, and what it said is kept at once.
        block = 1
        count = check_manifest(manifest)
        name, settings, measure = _from_endpoint(clm, queries)
    else:
        from erasetest.clm.sampler import Sampler
        from erasetest.probes import ProbeSettings
        from erasetest.probes import probe as probe_samples
        from erasetest.probes.store import identity

        asked = ProbeSettings(Sampler(temperature, top_k, top_p), references)
        count = check_manifest(manifest)
        loaded = _load(
            clm, clm_adapter, clm_device, clm_dtype, clm_batch_tokens, clm_allow_pickle,
            clm_trust_remote_code,
        )  # fmt: skip
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
    typer.echo(f"{output}: {count} samples", err=beside is None)


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


@app.command()
def calibrate(
    clm: ClmOption,
    output: OutOption,
    manifest: Annotated[
        Path | None,
        typer.Argument(
            help="Samples with secrets that the CLM never saw; without them, the demo's, which no "
            "CLM was trained on."
        ),
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Samples to put decoys into, where none are never-seen.")
    ] = None,
    references: Annotated[
        int, typer.Option(min=4, help="Decoys of each kind, and as many again to check by.")
    ] = 64,
    clm_adapter: AdapterOption = None,
    clm_device: DeviceOption = "auto",
    clm_dtype: DtypeOption = "auto",
    clm_batch_tokens: TokensOption = None,
    clm_allow_pickle: PickleOption = False,
    clm_trust_remote_code: RemoteOption = False,
) -> None:
    """Measure the thresholds that never-seen secrets stay under."""
    from erasetest.files import write_text
    from erasetest.names import check_clm_name
    from erasetest.samples import read_manifest
    from erasetest.verdict import calibrate as calibrate_on

    check_output(output, manifest, samples)
    check_clm_name(clm, clm_adapter)
    if manifest and samples:
        raise BadInput(
            "give either a manifest of never-seen secrets or --samples to put decoys into"
        )
    if not manifest and not samples:
        from erasetest.demo.build import demo_samples

        unseen = demo_samples()["unseen"]
    else:
        unseen = read_manifest(manifest) if manifest else []
    context = read_manifest(samples) if samples else []
    loaded = _load(
        clm, clm_adapter, clm_device, clm_dtype, clm_batch_tokens, clm_allow_pickle,
        clm_trust_remote_code,
    )  # fmt: skip
    with progress("calibrating") as task:
        thresholds = calibrate_on(
            loaded, context, unseen=unseen, references=references, check=True, progress=task
        )
    write_text(output, json.dumps(thresholds.as_dict(), indent=1) + "\n")
    typer.echo(f"{output}: thresholds of {len(thresholds.kinds)} kinds")
    alarms = thresholds.false_alarms["any"]
    low, high = alarms.interval_95
    typer.echo(
        f"false alarms: {alarms.count} of {alarms.of} never-seen secrets ({alarms.share:.2%}; with "
        f"95 % confidence {low:.2%} to {high:.2%})"
    )


@app.command()
def erase(
    manifest: Annotated[Path, typer.Argument(help="Samples whose secrets to erase.")],
    clm: ClmOption,
    retain: Annotated[Path, typer.Option(help="Manifest of code whose behaviour must not change.")],
    output: OutOption,
    method: Annotated[str, typer.Option(help="codeeraser, cu or ga.")] = "codeeraser",
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

    Status 1 when the step limit came first: the checkpoint is written, and its card says so.
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
    loaded = _load(
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
    word = "erased" if erasure.erased else "NOT erased"
    typer.echo(f"{output}: {word}, {erasure.steps} steps, {erasure.seconds:.1f} s")
    if not erasure.erased:
        raise typer.Exit(1)


@app.command()
def utility(
    problems: Annotated[Path, typer.Argument(help="Problems in HumanEval or MBPP form.")],
    clm: ClmOption,
    output: OutOption,
    samples: Annotated[int, typer.Option(min=1, help="Completions a problem.")] = 20,
    against: Annotated[str | None, typer.Option(help="The CLM to compare with.")] = None,
    margin: Annotated[float | None, typer.Option(help="Largest drop of pass@1 allowed.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    clm_device: DeviceOption = "auto",
    clm_dtype: DtypeOption = "auto",
    clm_batch_tokens: TokensOption = None,
    unsafe_execution: Annotated[
        bool, typer.Option(help="Run programs even where no limit holds.")
    ] = False,
) -> None:
    """Measure pass@k of a CLM, or how it compares with that of another."""
    from erasetest.files import write_text
    from erasetest.names import check_clm_name
    from erasetest.utility import read_problems, utility_report
    from erasetest.utility.measure import Sampling, measure

    check_output(output, problems)
    for name in filter(None, (clm, against)):
        check_clm_name(name)
    if margin is not None and against is None:
        raise BadInput("--margin is for a comparison: add --against MODEL")
    if margin is not None and not 0 <= margin <= 1:
        raise BadInput(f"--margin is a share of problems: expected 0 to 1, got {margin:g}")
    asked = read_problems(problems)
    scores = []
    for name in [against, clm] if against else [clm]:
        loaded = _load(name, None, clm_device, clm_dtype, clm_batch_tokens, False, False)
        with progress(f"pass@k of {name}") as task:
            sampling = Sampling(samples=samples, seed=seed)
            scores.append(measure(loaded, asked, sampling, task, unsafe=unsafe_execution))
        del loaded
    rows = utility_report(*scores, margin=margin) if against else scores[0].to_json()
    write_text(output, json.dumps(rows, indent=1) + "\n")
    for rate, value in scores[-1].pass_at_k.items():
        typer.echo(f"{rate} {value:.4f}")
    if against:
        typer.echo(f"verdict: {rows['verdict']}")
        if rows["verdict"] != "pass":
            raise typer.Exit(1)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A report in JSON form.")],
    output: OutOption,
) -> None:
    """Write a leakage report in another form, by the suffix of the output."""
    from erasetest.reports import read_report, write_report

    check_output(output, run)
    write_report(output, read_report(run))


def check_output(path: Path, *inputs: Path | None) -> None:
    """Refuse an output that could not be written, or that is another file of the command.

    Raises:
        BadInput: naming it.
    """
    from erasetest.files import check_writable

    check_writable(path)
    for given in inputs:
        if given is not None and path.resolve() == given.resolve():
            raise BadInput(f"{path}: is given twice: name another file to write to")


def _load(
    name: str,
    adapter: str | None,
    device: str,
    dtype: str,
    batch_tokens: int | None,
    allow_pickle: bool,
    trust_remote_code: bool,
) -> Clm:
    from erasetest.clm import LoadOptions
    from erasetest.demo.open import open_clm

    options = LoadOptions(adapter, device, dtype, batch_tokens, allow_pickle, trust_remote_code)
    with progress(f"the demo CLM ({name})") as task:
        return open_clm(name, options, task)


def main() -> None:
    """Run a command; what the user can mend ends in one line, without a traceback."""
    from erasetest.runtime import quiet

    quiet()
    try:
        status = app(standalone_mode=False)
    except typer.Exit as done:
        status = done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = _STOPPED
    except BadInput as error:
        status = _say(str(error), 2)
    except ErasetestError as error:
        status = _say(str(error), 1)
    except Exception as error:
        # Typer's own errors: the class to catch is not the same in all of its versions.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if len(sys.argv) == 1:
            # No command at all: the message is the help.
            typer.echo(message(), err=True)
            sys.exit(2)
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "erasetest"
        status = _say(f"{message()} See '{command} --help'.", 2)
    if status == _STOPPED:
        _say("stopped", _STOPPED)
    sys.exit(status if isinstance(status, int) else 0)


def _say(message: str, status: int) -> int:
    typer.echo(f"erasetest: {message}", err=True)
    return status


if __name__ == "__main__":
    main()
