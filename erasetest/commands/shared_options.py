"""Options that several commands share, typer parameters of declared options, checks of files."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args, get_origin

import typer

from erasetest.clm.load_options import LoadOptions
from erasetest.support.atomic_files import check_writable
from erasetest.support.option_fields import (
    Option,
    from_values,
    group,
    option,
    options_of,
    without_none,
)
from erasetest.support.path_collisions import Use, check_collisions, reads_checkpoint
from erasetest.support.progress import progress

if TYPE_CHECKING:
    from erasetest.clm import Clm

OutOption = Annotated[Path, typer.Option("-o", "--output", help="Where to write the result.")]

CLM_HELP = "CLM: folder, hub id, GGUF file, demo, demo:gpt2, demo:codegen or demo:qwen2"


@dataclass(frozen=True, slots=True)
class NamedClm:
    """The CLM that a command works on, and how it is loaded."""

    accepts_endpoint: ClassVar[bool] = False

    clm: str = option(f"{CLM_HELP}.", metavar="MODEL")
    loading: LoadOptions = group("clm_")

    def check(self) -> None:
        """Refuse a name that cannot be valid.

        Raises:
            BadInput: naming what was given.
        """
        from erasetest.loading import check_clm_name

        check_clm_name(self.clm, self.loading.adapter, endpoint=self.accepts_endpoint)

    def files(self) -> list[Use]:
        """Return the folders that it is loaded from: no command writes into them."""
        return [
            *reads_checkpoint("--clm", self.clm),
            *reads_checkpoint("--clm-adapter", self.loading.adapter),
        ]

    def load(self) -> Clm:
        """Load the CLM; a demo CLM is trained first if it is not in the cache."""
        from erasetest.loading import open_clm

        title = f"building {self.clm}" if self.clm.startswith("demo") else f"loading {self.clm}"
        with progress(title) as task:
            return open_clm(self.clm, self.loading, task)


@dataclass(frozen=True, slots=True)
class NamedClmOrEndpoint(NamedClm):
    """A CLM, or the URL of an endpoint that serves one."""

    accepts_endpoint: ClassVar[bool] = True

    clm: str = option(f"{CLM_HELP}; or the URL of a completions endpoint.", metavar="MODEL")


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameters of a command that are dataclasses of options by these options.

    A parameter annotated `X | None` is None if the first option of `X` is not given.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[Option], bool]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        declared = without_none(parameter.annotation)
        if not (isinstance(declared, type) and dataclasses.is_dataclass(declared)):
            parameters.append(parameter)
            continue
        options = list(options_of(declared))
        optional = declared is not parameter.annotation
        if optional:
            options[0] = dataclasses.replace(options[0], required=False)
        groups[parameter.name] = declared, options, optional
        parameters += map(_typer_parameter, options)

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        for name, (declared, options, optional) in groups.items():
            values = {each.name: _plain(given.pop(each.name), each) for each in options}
            left_out = optional and values[options[0].name] is None
            given[name] = None if left_out else from_values(declared, values)
        command(**given)

    # By keyword, so that a required option can follow one with a default.
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {p.name: p.annotation for p in parameters}
    return expanded


def check_files(read: Sequence[Use], written: Sequence[Use]) -> None:
    """Refuse outputs that cannot be written, or that are an input or another output.

    Raises:
        BadInput: naming the file, or both options that name it.
    """
    for use in written:
        if not use.exclusive:
            check_writable(use.path)
    check_collisions([*read, *written])


def _typer_parameter(declared: Option) -> inspect.Parameter:
    flag = (declared.command_name or declared.name).replace("_", "-")
    annotation: Any = declared.value_type
    if get_origin(annotation) is tuple:
        annotation = types.GenericAlias(list, get_args(annotation)[:1])
    elif get_origin(annotation) is Literal:
        make_enum: Any = StrEnum
        annotation = make_enum(declared.name, {name: name for name in get_args(annotation)})
    default = None if declared.default == () else declared.default
    info = typer.Option(
        f"--{flag}/--no-{flag}" if declared.negatable else f"--{flag}",
        help=declared.description,
        metavar=declared.metavar,
        min=declared.minimum,
    )
    return inspect.Parameter(
        declared.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if declared.required else default,
        annotation=Annotated[annotation | None if default is None else annotation, info],
    )


def _plain(value: Any, declared: Option) -> Any:
    """Convert what typer read to the type of the field."""
    if get_origin(declared.value_type) is tuple:
        return tuple(value or ())
    return value.value if isinstance(value, StrEnum) else value
