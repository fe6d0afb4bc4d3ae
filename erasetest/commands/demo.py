"""`erasetest demo`: the demo CLM and its data."""

from __future__ import annotations

from typing import Annotated

import typer

from erasetest.commands.shared_options import OutOption
from erasetest.support.progress import progress


def demo(
    output: OutOption,
    family: Annotated[str, typer.Option(help="Model family: qwen2, codegen or gpt2.")] = "qwen2",
) -> None:
    """Train the demo CLM, and write it with its samples, retained code and problems."""
    from erasetest.demo.build import check_family, write_demo
    from erasetest.support.atomic_files import check_new_directory

    check_family(family)
    check_new_directory(output)
    with progress(f"training the demo CLM ({family})") as task:
        write_demo(output, family, task)
    typer.echo(f"{output}: clm/, samples.jsonl, unseen.jsonl, retained.jsonl, problems.jsonl, …")
