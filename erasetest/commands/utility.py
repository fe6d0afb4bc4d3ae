"""`erasetest utility`: pass@k, and what else tells whether a CLM still writes code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erasetest.commands.shared_options import Loading, OutOption, check_files, takes_clm
from erasetest.errors import BadInput
from erasetest.support.path_collisions import reads, reads_checkpoint, writes
from erasetest.support.progress import progress

if TYPE_CHECKING:
    from erasetest.samples import SensitiveSample
    from erasetest.utility import Limits, Problem, UtilityScore
    from erasetest.utility.completions import Completions
    from erasetest.utility.sampling import Sampling


class Prompting(StrEnum):
    """What the CLM reads of a problem's prompt."""

    ALIGNED = "aligned"
    STRIPPED = "stripped"
    WHOLE = "whole"


def utility(
    problems: Annotated[
        Path, typer.Argument(help="Problems in the form of HumanEval, MBPP or EvalPlus.")
    ],
    loading: Loading,
    output: OutOption,
    samples: Annotated[int, typer.Option(min=1, help="Completions a problem.")] = 20,
    temperature: Annotated[float, typer.Option(min=0, help="Of the sampling.")] = 0.2,
    top_p: Annotated[float, typer.Option(help="Of the sampling.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of a completion.")] = 256,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    greedy: Annotated[
        bool, typer.Option(help="Measure a greedy completion of each problem too.")
    ] = True,
    prompt: Annotated[
        Prompting, typer.Option(help="What is read of a prompt that ends in white space.")
    ] = Prompting.ALIGNED,
    completions: Annotated[
        Path | None,
        typer.Option(
            help="Completions that another engine wrote: no CLM is loaded, and --clm is but a name "
            "for the report."
        ),
    ] = None,
    against: Annotated[str | None, typer.Option(help="The CLM to compare with.")] = None,
    against_completions: Annotated[
        Path | None, typer.Option(help="Its completions, written by another engine.")
    ] = None,
    margin: Annotated[float | None, typer.Option(help="Largest drop of pass@1 allowed.")] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Code (JSONL) whose likelihood is measured.")
    ] = None,
    cpu_seconds: Annotated[int, typer.Option(min=1, help="CPU time of a program.")] = 3,
    unsafe_execution: Annotated[
        bool, typer.Option(help="Run programs even where less of the sandbox holds than is safe.")
    ] = False,
) -> None:
    """Measure pass@k of a CLM, or how it compares with that of another."""
    from erasetest.samples import read_manifest
    from erasetest.support.atomic_files import write_text
    from erasetest.utility import Limits, check_problems, read_problems, utility_report
    from erasetest.utility.sampling import Sampling
    from erasetest.utility.sandbox.pool import required_layers

    check_files(
        [
            *reads("PROBLEMS", problems),
            *reads("--completions", completions),
            *reads("--against-completions", against_completions),
            *reads("--held-out", held_out),
            *reads_checkpoint("--against", against),
            *loading.files(),
        ],
        writes("--output", output),
    )
    if not loading.clm and completions is None:
        raise BadInput("nothing to measure: give --clm MODEL, or --completions FILE")
    if against and against_completions:
        raise BadInput("--against and --against-completions both say what to compare with: one")
    compared = bool(against or against_completions)
    if margin is not None and not compared:
        raise BadInput("--margin is for a comparison: add --against MODEL")
    if margin is not None and not 0 <= margin <= 1:
        raise BadInput(f"--margin is a share of problems: expected 0 to 1, got {margin:g}")
    if not 0 < top_p <= 1:
        raise BadInput(f"--top-p must be above 0 and at most 1, got {top_p:g}")
    other = replace(loading, clm=against or str(against_completions), clm_adapter=None)
    named = replace(loading, clm=loading.clm or str(completions))
    sources = [_Source(other, against_completions, "against")] if compared else []
    sources.append(_Source(named, completions, "clm"))
    for each in sources:
        each.check(held_out)
    sampling = Sampling(samples, temperature, top_p, max_tokens, seed, prompt.value)
    texts = read_manifest(held_out, require_secrets=False) if held_out else []
    asked = _Asked(
        read_problems(problems), sampling, greedy, texts, Limits(cpu_seconds), unsafe_execution
    )
    written = [each.read(asked.problems) for each in sources]
    layers = required_layers(unsafe=unsafe_execution)
    typer.echo(f"sandbox: {', '.join(layers) or 'none'}")
    with progress("checking the problems") as task:
        check_problems(asked.problems, limits=asked.limits, unsafe=asked.unsafe, progress=task)
    scores = [one.score(asked, output, own) for one, own in zip(sources, written, strict=True)]
    rows = utility_report(*scores, margin=margin) if compared else scores[0].to_json()
    rows["clm"] = {each.role: each.loading.clm for each in sources}
    write_text(output, json.dumps(rows, indent=1) + "\n")
    _say(scores[-1])
    if compared:
        delta = rows["delta"]["pass@1"]
        typer.echo(
            f"change of pass@1 {delta['mean']:+.4f}, at least {delta['lower_95']:+.4f} with 95 % "
            f"confidence, {-rows['margin']:+.4f} allowed"
        )
        if rows["power"] is not None:
            typer.echo(
                f"power: an unchanged CLM passes with {rows['power']['if_unchanged']:.0%}; a drop "
                f"of {rows['power']['drop_at_80']:.4f} is seen with 80 %"
            )
        typer.echo(f"verdict: {rows['verdict']}{_advice(rows)}")
        if rows["verdict"] != "pass":
            raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is measured of each of the CLMs."""

    problems: Sequence[Problem]
    sampling: Sampling
    greedy: bool
    held_out: Sequence[SensitiveSample]
    limits: Limits
    unsafe: bool


@dataclass(frozen=True, slots=True)
class _Source:
    """A CLM, or the file that holds its completions."""

    loading: Loading
    completions: Path | None
    role: str

    def check(self, held_out: Path | None) -> None:
        """Refuse what can be seen to be wrong."""
        if self.completions is None:
            self.loading.check()
        elif held_out is not None:
            raise BadInput("--held-out is read by the CLM: it cannot be had of --completions")

    def read(self, problems: Sequence[Problem]) -> Completions | None:
        """The completions, where they are not to be generated."""
        from erasetest.utility.completions import read_completions

        return read_completions(self.completions, problems) if self.completions else None

    def score(self, asked: _Asked, output: Path, written: Completions | None) -> UtilityScore:
        """The score of what is written, or of what the CLM generates."""
        from erasetest.support.atomic_files import is_stream
        from erasetest.utility.scoring import score_completions

        what = f"pass@k of {self.loading.clm}"
        if written is not None:
            with progress(what) as task:
                scored = score_completions(
                    asked.problems,
                    written.texts,
                    limits=asked.limits,
                    progress=lambda done, total: task(done, total, "running"),
                    unsafe=asked.unsafe,
                    whole=written.whole,
                )
            form = "whole programs" if written.whole else "what follows the prompt"
            return replace(scored, how={"completions": str(self.completions), "form": form})
        from erasetest.utility.evaluation import measure

        loaded = self.loading.load()
        kept = None if is_stream(output) else output.with_name(f".{output.name}.{self.role}.part")
        with progress(what) as task:
            return measure(
                loaded,
                asked.problems,
                asked.sampling,
                task,
                unsafe=asked.unsafe,
                greedy=asked.greedy,
                held_out=asked.held_out,
                kept=kept,
                limits=asked.limits,
            )


def _say(score: UtilityScore) -> None:
    for rate, value in score.pass_at_k.items():
        typer.echo(f"{rate} {value:.4f}")
    outcomes = ", ".join(f"{count} {name}" for name, count in score.outcomes.items())
    typer.echo(f"programs: {outcomes}")
    texts = score.texts
    typer.echo(f"completions that parse {texts['parse']:.4f}, repetition {texts['repetition']:.4f}")
    if score.held_out:
        typer.echo(
            f"held-out code: {score.held_out['nats']:.4f} nats a token, text MA "
            f"{score.held_out['ma']:.4f}"
        )


def _advice(rows: dict[str, Any]) -> str:
    if rows["verdict"] != "inconclusive":
        return ""
    if not rows["before"]["pass@1"]:
        return " (nothing was solved before, so there is nothing to keep)"
    if rows["problems_to_decide"]:
        return f" (too few problems: {rows['problems_to_decide']} or more for this margin)"
    samples = rows["samples_to_decide"]
    return f" ({samples} samples a problem would decide)" if samples else ""


utility = takes_clm(utility, needed=False, unnamed="")
