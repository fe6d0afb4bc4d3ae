"""The functions of `import erasetest`: the whole workflow in Python, without intermediate files.

Commands and fixtures call the same functions of the packages. Nothing here imports torch before a
function needs it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasetest.endpoint.url import is_endpoint
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, read_manifest, read_manifests
from erasetest.support.progress import Progress

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.endpoint import Endpoint
    from erasetest.erasing import Erasure
    from erasetest.probes import SampleMeasures
    from erasetest.scanning import ScanSummary
    from erasetest.utility import Problem, UtilityScore
    from erasetest.utility.non_inferiority import Comparison
    from erasetest.verdict import Judgement, Thresholds

    Model = Clm | Endpoint

PathLike = str | os.PathLike[str]


def _at_least(minimum: int, **given: int | None) -> None:
    """Refuse numbers that are too small; None is what may be left out."""
    for name, value in given.items():
        if value is not None and (not isinstance(value, int) or value < minimum):
            raise BadInput(f"{name} must be a whole number of {minimum} or more, got {value!r}")


def _clm(model: Any) -> Clm:
    """Return the model if its weights are here.

    Raises:
        BadInput: it is an endpoint, or nothing that `load` returned.
    """
    from erasetest.clm import Clm
    from erasetest.endpoint import Endpoint

    if isinstance(model, Endpoint):
        raise BadInput("the model is an endpoint, which can only be probed: load a checkpoint")
    if not isinstance(model, Clm):
        raise BadInput(f"the model must come from erasetest.load, got {type(model).__name__}")
    return model


def load(
    name: PathLike,
    *,
    adapter: PathLike | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    queries: int = 20,
) -> Model:
    """Load a CLM, or connect to one behind a completions endpoint.

    Args:
        name: a folder that `save_pretrained` wrote, a hub id, a GGUF file, `demo` or
            `demo:FAMILY` (trained on first use), or the URL of an endpoint (its key is read from
            ERASETEST_API_KEY).
        adapter: folder of a PEFT adapter to put on the CLM.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        batch_tokens: tokens per forward pass, padding included; None adapts to the device.
        allow_pickle: load pickled weights, which can run code.
        trust_remote_code: run the code that comes with the checkpoint.
        queries: samples that are drawn for each secret at an endpoint.

    Raises:
        BadInput: no such model, or it cannot be loaded; the message says why.
    """
    from erasetest.loading import check_clm_name, open_clm

    _at_least(1, batch_tokens=batch_tokens, queries=queries)
    name = os.fspath(name)
    folder = os.fspath(adapter) if adapter is not None else None
    check_clm_name(name, folder, endpoint=True)
    if is_endpoint(name):
        from erasetest.endpoint import Endpoint, EndpointOptions

        return Endpoint(name, EndpointOptions(samples=queries))
    from erasetest.clm import LoadOptions

    options = LoadOptions(folder, device, dtype, batch_tokens, allow_pickle, trust_remote_code)
    return open_clm(name, options)


def read_samples(*paths: PathLike, require_secrets: bool = True) -> list[SensitiveSample]:
    """Read the samples of one or more manifests, in order.

    Args:
        paths: manifests (`.jsonl`, `.jsonl.gz`, `.parquet`).
        require_secrets: refuse samples without a secret; retained code has none.

    Raises:
        ManifestError: a file cannot be read, or a line is not of the form.
        BadInput: no manifest is given, two have samples of one id, or an id or a kind shows a
            secret.
    """
    if not paths:
        raise BadInput("no manifest to read: give one or more paths")
    return read_manifests(map(Path, paths), require_secrets=require_secrets)


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The samples that a scan found, and a summary of what was read and what was skipped."""

    samples: list[SensitiveSample]
    summary: ScanSummary


def scan(
    *paths: PathLike,
    output: PathLike | None = None,
    min_confidence: str = "low",
    limit: int | None = None,
    seed: int = 0,
    processes: int = 1,
) -> ScanResult:
    """Scan a training corpus for secrets.

    Args:
        paths: folders and files of source code, JSONL, Parquet, data sets on disk.
        output: manifest to write; None writes none. With the same manifest, the same call resumes
            a scan that was stopped.
        min_confidence: lowest confidence of a finding: `high`, `medium` or `low`.
        limit: maximum number of samples, drawn at random, evenly over the kinds.
        seed: seed of that draw.
        processes: number of worker processes.

    Raises:
        BadInput: a path does not exist, a number is too small, or the output cannot be written.
    """
    from erasetest.scanning import Rules, ScanSettings, scan_to
    from erasetest.scanning.document import CONFIDENCES, Confidence
    from erasetest.support.temporary_folder import process_folder

    if not paths:
        raise BadInput("nothing to scan: give one or more paths")
    _at_least(1, limit=limit, processes=processes)
    if min_confidence not in CONFIDENCES:
        raise BadInput(
            f"min_confidence {min_confidence!r}: expected one of {', '.join(CONFIDENCES)}"
        )
    confidence: Confidence = min_confidence
    settings = ScanSettings(Rules(confidence), limit=limit, seed=seed, processes=processes)
    corpus = [Path(path) for path in paths]
    # Inside the folder of the process: what a killed scan leaves there, the next run removes.
    with tempfile.TemporaryDirectory(dir=process_folder()) as folder:
        manifest = Path(output) if output is not None else Path(folder) / "samples.jsonl"
        summary = scan_to(manifest, corpus, settings)
        samples = read_manifest(manifest) if summary.found else []
    return ScanResult(samples, summary)


def probe(
    model: Model,
    samples: Sequence[SensitiveSample],
    *,
    references: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    progress: Progress | None = None,
) -> list[SampleMeasures]:
    """Measure what a model remembers of each secret.

    Args:
        model: from `load`. An endpoint gives fewer measures, and ignores the sampler.
        samples: the samples whose secrets to measure.
        references: number of decoys that `exposure` ranks each secret among; 0 leaves it out.
        temperature: sampling temperature that `log2_p` is computed for.
        top_k: top-k cut-off of the same sampler; None for none.
        top_p: top-p cut-off of the same sampler; None for none.
        progress: called with the number of measured samples and of all.

    Returns:
        The measures of each sample, in order. A secret that could not be measured names its
        `problem`.

    Raises:
        BadInput: the sampler or the number of references cannot be.
    """
    from erasetest.endpoint import Endpoint, probe_endpoint

    _at_least(0, references=references)
    samples = list(samples)
    if isinstance(model, Endpoint):
        return probe_endpoint(model, samples, progress)
    from erasetest.clm import Sampler
    from erasetest.probes import ProbeSettings
    from erasetest.probes import probe as probe_clm

    settings = ProbeSettings(Sampler(temperature, top_k, top_p), references)
    return probe_clm(_clm(model), samples, progress, settings=settings)


def calibrate(
    model: Model,
    samples: Sequence[SensitiveSample],
    *,
    unseen: Sequence[SensitiveSample] = (),
    references: int = 64,
    seed: int = 0,
    check: bool = False,
    progress: Progress | None = None,
) -> Thresholds:
    """Measure the thresholds that control secrets stay below, for each kind of secret.

    Args:
        model: a CLM from `load`; an endpoint is judged by extraction and needs no thresholds.
        samples: samples whose contexts and formats the control secrets take.
        unseen: samples whose secrets the CLM was never trained on, used in place of decoys.
        references: number of decoys per kind.
        seed: seed of the decoys.
        check: measure the rate of false alarms too, on fresh decoys.
        progress: called with the number of measured samples and of all.

    Raises:
        BadInput: the model is an endpoint, there are too few control secrets, or the CLM recites
            some of `unseen`.
    """
    from erasetest.verdict import calibrate as calibrate_on

    _at_least(4, references=references)
    return calibrate_on(
        _clm(model), list(samples), unseen=list(unseen), references=references, seed=seed,
        check=check, progress=progress,
    )  # fmt: skip


def judge(measures: SampleMeasures, thresholds: Thresholds) -> Judgement:
    """Judge a sample by its worst secret, which leaks if extracted or above a threshold.

    Args:
        measures: of the sample, from `probe`.
        thresholds: from `calibrate`, or read by `read_thresholds`.

    Returns:
        The verdict with its reasons: `pass`, `leak`, or `inconclusive` if a secret could not be
        measured or a tie between tokens decides.
    """
    from erasetest.verdict import judge as judge_sample

    return judge_sample(measures, thresholds)


def erase(
    model: Model,
    samples: Sequence[SensitiveSample],
    output: PathLike | None = None,
    *,
    retain: Sequence[SensitiveSample] | None = None,
    thresholds: Thresholds | None = None,
    earlier: Sequence[SensitiveSample] = (),
    method: str = "decoys",
    lora: int | None = None,
    lr: float | None = None,
    max_steps: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> Erasure:
    """Erase the secrets of samples from a CLM, in place.

    Args:
        model: a CLM from `load`; its weights change.
        samples: the samples whose secrets to erase.
        output: folder to write the erased checkpoint to; None writes none. With the same folder,
            the same call resumes a run that was killed.
        retain: code whose behaviour must not change; None lets the CLM generate it.
        thresholds: what each secret has to stay below; None takes the published ones of the CLM,
            or calibrates them.
        earlier: samples that were erased before: probed with the others, and erased again if they
            leak.
        method: `decoys`, `codeeraser`, `codeeraser-no-kl`, `cu`, `ga`, `npo` or `lasting`.
        lora: rank of an adapter to train (it is merged into the weights), in place of all weights.
        lr: learning rate; None derives it from the CLM's width.
        max_steps: limit of steps.
        seed: seed of batches and decoys.
        progress: called with the number of steps and how many are likely to be needed.

    Returns:
        What was done; `.erased` is False if a secret is still above its threshold, or if too much
        accuracy on retained code was lost.

    Raises:
        BadInput: the model is an endpoint, there are no samples, one has no secret or does not fit
            the window, retained code holds a secret, or the folder cannot be used.
        ErasureError: the loss stays NaN or infinite, or memory does not suffice.
    """
    from erasetest.erasing import ErasureSettings, Lora, check_request
    from erasetest.erasing.plan import ErasePlan, check_samples, fixed_thresholds
    from erasetest.support.atomic_files import reserved

    clm = _clm(model)
    settings = ErasureSettings(
        method=method,
        lr=lr,
        max_steps=max_steps,
        lora=Lora(lora) if lora is not None else None,
        seed=seed,
    )
    asked, before = check_samples(samples, earlier, retain)
    limits = fixed_thresholds(clm.name, thresholds, adapter=clm.adapter is not None)
    folder = Path(output) if output is not None else None
    with reserved(folder) if folder is not None else contextlib.nullcontext():
        # Before the calibration, which takes long.
        check_request(folder, clm, asked, retain, settings, before)
        plan = ErasePlan.resolve(clm, asked, retained=retain, thresholds=limits, earlier=before)
        return plan.erase(clm, settings, folder, progress)


def evaluate(
    model: Model,
    problems: Sequence[Problem],
    *,
    samples: int = 20,
    temperature: float = 0.2,
    top_p: float = 0.95,
    max_tokens: int = 256,
    seed: int = 0,
    greedy: bool = False,
    held_out: Sequence[SensitiveSample] = (),
    unsafe_execution: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> UtilityScore:
    """Measure pass@k: write completions of problems, and run them in a sandbox.

    Args:
        model: a CLM from `load`.
        problems: problems from `read_problems`; those that cannot judge a program are refused
            before any completion is written.
        samples: completions per problem.
        temperature: sampling temperature of the completions; 0 is greedy decoding.
        top_p: nucleus of the sampler.
        max_tokens: tokens per completion.
        seed: seed of the completions.
        greedy: evaluate one greedy completion per problem too.
        held_out: code whose likelihood is measured too.
        unsafe_execution: run generated programs even if required layers of the sandbox are missing.
        progress: called with the number of finished steps, of all, and the current phase; a
            completion is two steps, generating it and running it.

    Returns:
        The score: `.pass_at_k`, outcomes of the programs, and the layers of the sandbox that held.

    Raises:
        SandboxError: this machine cannot run generated programs safely.
        BadInput: the model is an endpoint, there are no problems or one cannot judge a program, a
            number cannot be, or a prompt does not fit the CLM's window.
    """
    from erasetest.utility import check_problems
    from erasetest.utility.evaluation import evaluate as evaluate_clm
    from erasetest.utility.sampling import Sampling

    clm, problems = _clm(model), list(problems)
    if not problems:
        raise BadInput("no problems to evaluate: read some by erasetest.read_problems")
    sampling = Sampling(samples, temperature, top_p, max_tokens, seed)
    check_problems(problems, unsafe=unsafe_execution)
    return evaluate_clm(
        clm, problems, sampling, progress, unsafe=unsafe_execution, greedy=greedy,
        held_out=held_out,
    )  # fmt: skip


def compare(
    before: UtilityScore, after: UtilityScore, *, margin: float | None = None
) -> Comparison:
    """Test whether pass@1 dropped by less than a margin (a paired test of non-inferiority).

    Args:
        before: the score of the CLM to compare with.
        after: the score of the CLM under test, on the same problems.
        margin: tolerated drop of pass@1, fixed beforehand; None takes 2 points, or a tenth of the
            score before if that is less.

    Returns:
        The mean change with its 95 % bounds, and a verdict: `pass`, `fail` or `inconclusive`.

    Raises:
        BadInput: the scores are not of the same problems, or the margin is not between 0 and 1.
    """
    from erasetest.utility.non_inferiority import compare as compare_scores

    return compare_scores(before, after, margin=margin)


for _public in (
    load, read_samples, ScanResult, scan, probe, calibrate, judge, erase, evaluate, compare,
):  # fmt: skip
    # Tracebacks, signatures and pickles name them as users import them.
    _public.__module__ = "erasetest"
