"""Options that several commands share, and what they are checked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erasetest.errors import BadInput
from erasetest.progress import progress

if TYPE_CHECKING:
    from erasetest.clm import Clm

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


def load(
    name: str,
    adapter: str | None,
    device: str,
    dtype: str,
    batch_tokens: int | None,
    allow_pickle: bool,
    trust_remote_code: bool,
) -> Clm:
    """Load the CLM of these options; the demo CLM is built where it is not in the cache."""
    from erasetest.clm import LoadOptions
    from erasetest.demo.open import open_clm

    options = LoadOptions(adapter, device, dtype, batch_tokens, allow_pickle, trust_remote_code)
    with progress(f"the demo CLM ({name})") as task:
        return open_clm(name, options, task)
