"""`erasetest utility`: pass@k."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.options import Loading, OutOption, check_output, takes_clm
from erasetest.errors import BadInput
from erasetest.progress import progress


@takes_clm
def utility(
    problems: Annotated[Path, typer.Argument(help="Problems in HumanEval or MBPP form.")],
    loading: Loading,
    output: OutOption,
    samples: Annotated[int, typer.Option(min=1, help="Completions a problem.")] = 20,
    against: Annotated[str | None, typer.Option(help="The CLM to compare with.")] = None,
    margin: Annotated[float | None, typer.Option(help="Largest drop of pass@1 allowed.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    unsafe_execution: Annotated[
        bool, typer.Option(help="Run programs even where no limit holds.")
    ] = False,
) -> None:
    """Measure pass@k of a CLM, or how it compares with that of another."""
    from erasetest.files import write_text
    from erasetest.utility import read_problems, utility_report
    from erasetest.utility.measure import Sampling, measure

    check_output(output, problems)
    both = [replace(loading, clm=against, clm_adapter=None)] if against else []
    both.append(loading)
    for each in both:
        each.check()
    if margin is not None and against is None:
        raise BadInput("--margin is for a comparison: add --against MODEL")
    if margin is not None and not 0 <= margin <= 1:
        raise BadInput(f"--margin is a share of problems: expected 0 to 1, got {margin:g}")
    asked = read_problems(problems)
    scores = []
    for each in both:
        loaded = each.load()
        with progress(f"pass@k of {each.clm}") as task:
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
