"""Options that are declared once, as fields of dataclasses.

The commands make typer parameters of them, the pytest plugin makes pytest options and ini keys.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar, get_args, get_type_hints

_OPTION, _GROUP = "option", "group of options"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """What users can set, under which name, and what they read about it."""

    description: str
    """A sentence for `--help`, without the default."""
    metavar: str | None = None
    minimum: int | None = None
    choices: tuple[str, ...] = ()
    negatable: bool = False
    """Whether commands offer `--no-NAME` beside `--NAME`."""
    command_name: str | None = None
    """The name in commands, where it is not `name`."""
    value_if_bare: str | None = None
    """The value of the pytest option without a value; None if it needs one."""
    name: str = ""
    """The name with underscores, after the prefixes of its groups."""
    value_type: Any = str
    """The annotation of the field, without `| None`."""
    required: bool = False
    default: Any = None

    @property
    def flag(self) -> str:
        """The name on pytest's command line."""
        return "--" + self.name.replace("_", "-")


def option(
    description: str,
    default: Any = MISSING,
    *,
    metavar: str | None = None,
    minimum: int | None = None,
    choices: tuple[str, ...] = (),
    negatable: bool = False,
    command_name: str | None = None,
    value_if_bare: str | None = None,
) -> Any:
    """Declare a field of a dataclass as an option. The arguments are the fields of `Option`."""
    declared = Option(
        description, metavar, minimum, choices, negatable, command_name, value_if_bare
    )
    return dataclasses.field(default=default, metadata={_OPTION: declared})


def group(prefix: str = "", *names: str) -> Any:
    """Declare a field, given by keyword alone, as a dataclass of options.

    Args:
        prefix: put before the names of its options.
        names: fields that are offered as options here; all if none is named.
    """
    return dataclasses.field(kw_only=True, metadata={_GROUP: (prefix, names)})


def options_of(declared: type, prefix: str = "", names: tuple[str, ...] = ()) -> Iterator[Option]:
    """Yield the options of a dataclass and of its groups, in the order of the fields.

    Args:
        declared: the dataclass.
        prefix: put before the names of all options.
        names: the fields to yield; all if none is named.
    """
    types_of = get_type_hints(declared)
    for field in dataclasses.fields(declared):
        if _GROUP in field.metadata:
            inner, chosen = field.metadata[_GROUP]
            yield from options_of(types_of[field.name], prefix + inner, chosen)
        elif _OPTION in field.metadata and (not names or field.name in names):
            yield dataclasses.replace(
                field.metadata[_OPTION],
                name=prefix + field.name,
                value_type=without_none(types_of[field.name]),
                required=field.default is MISSING,
                default=None if field.default is MISSING else field.default,
            )


def from_values(declared: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Make an instance of a dataclass of options; an option without a value keeps its default.

    Args:
        declared: the dataclass.
        values: of the options, by their names.
        prefix: what `options_of` was given.
    """
    types_of = get_type_hints(declared)
    arguments = {}
    for field in dataclasses.fields(declared):  # type: ignore[arg-type]
        name = prefix + field.name
        if _GROUP in field.metadata:
            inner, _ = field.metadata[_GROUP]
            arguments[field.name] = from_values(types_of[field.name], values, prefix + inner)
        elif _OPTION in field.metadata and name in values:
            arguments[field.name] = values[name]
    return declared(**arguments)


def without_none(annotation: Any) -> Any:
    """Return `X` for the annotation `X | None`, and any other annotation as it is."""
    if isinstance(annotation, types.UnionType):
        annotation, *_ = [one for one in get_args(annotation) if one is not type(None)]
    return annotation
