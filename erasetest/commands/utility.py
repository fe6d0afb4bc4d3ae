"""`erasetest utility`: pass@k."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from erasetest.commands.options import (
    ClmOption,
    DeviceOption,
    DtypeOption,
    OutOption,
    TokensOption,
    check_output,
    load,
)
from erasetest.errors import BadInput
from erasetest.progress import progress


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
        loaded = load(name, None, clm_device, clm_dtype, clm_batch_tokens, False, False)
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
