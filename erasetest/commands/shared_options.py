"""Options that several commands share, and what they are checked for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erasetest.support.atomic_files import check_writable
from erasetest.support.path_collisions import Use, check_collisions, reads_checkpoint
from erasetest.support.progress import progress

if TYPE_CHECKING:
    from erasetest.clm import Clm

OutOption = Annotated[Path, typer.Option("-o", "--output", help="Where to write.")]


@dataclass(frozen=True, slots=True)
class Loading:
    """Which CLM, and how it is loaded: the options of every command that `takes_clm`."""

    clm: Annotated[
        str,
        typer.Option(
            help="Folder, hub id, demo, demo:gpt2, demo:codegen, demo:qwen2; to probe, a URL too."
        ),
    ]
    clm_adapter: Annotated[
        str | None, typer.Option(help="Folder of a PEFT adapter for the CLM.")
    ] = None
    clm_device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto"
    clm_dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto"
    clm_batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens in one forward pass.")
    ] = None
    clm_allow_pickle: Annotated[
        bool, typer.Option("--clm-allow-pickle", help="Load pickled weights, which can run code.")
    ] = False
    clm_trust_remote_code: Annotated[
        bool,
        typer.Option("--clm-trust-remote-code", help="Run code that comes with the checkpoint."),
    ] = False

    def check(self, *, endpoint: bool = False) -> None:
        """Refuse a name that can be seen to be none."""
        from erasetest.loading import check_clm_name

        check_clm_name(self.clm, self.clm_adapter, endpoint=endpoint)

    def files(self) -> list[Use]:
        """The folders that it reads: no command writes into them."""
        return [
            *reads_checkpoint("--clm", self.clm),
            *reads_checkpoint("--clm-adapter", self.clm_adapter),
        ]

    def load(self) -> Clm:
        """The CLM; the demo CLM is built where it is not in the cache."""
        from erasetest.clm import LoadOptions
        from erasetest.loading import open_clm

        options = LoadOptions(
            self.clm_adapter,
            self.clm_device,
            self.clm_dtype,
            self.clm_batch_tokens,
            self.clm_allow_pickle,
            self.clm_trust_remote_code,
        )
        with progress(f"the demo CLM ({self.clm})") as task:
            return open_clm(self.clm, options, task)


def takes_clm(
    command: Callable[..., None], *, needed: bool = True, unnamed: str | None = None
) -> Callable[..., None]:
    """Give a command the options of `Loading` in place of its parameter `loading`.

    Args:
        command: the command.
        needed: whether `--clm` must be given.
        unnamed: the name in `loading` where it need not be and is not; without one, `loading` is
            None then.
    """
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "loading"
    ]
    added = list(inspect.signature(Loading, eval_str=True).parameters.values())
    if not needed:
        added[0] = added[0].replace(default=None)

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        asked = {parameter.name: given.pop(parameter.name) for parameter in added}
        if asked["clm"] is None:
            asked["clm"] = unnamed
        command(**given, loading=None if asked["clm"] is None else Loading(**asked))

    # By keyword, so that an option that must be given may stand after one that may be.
    everything = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *added]]
    with_options.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in everything}
    return with_options


def check_files(read: Sequence[Use], written: Sequence[Use]) -> None:
    """Refuse outputs that cannot be written, or that are an input or another output.

    Raises:
        BadInput: naming the file, or both options that name it.
    """
    for use in written:
        if not use.closed:
            check_writable(use.path)
    check_collisions([*read, *written])
