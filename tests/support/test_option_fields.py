"""Options that are declared once, and the two command lines that are made of them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pytest
import typer.main
from pytest_erasetest.options import OPTIONS

from erasetest.cli import app
from erasetest.clm.load_options import LoadOptions
from erasetest.commands.shared_options import with_options
from erasetest.erasing.erase_options import EraseOptions
from erasetest.erasing.erasure_settings import ErasureSettings
from erasetest.support.option_fields import from_values, group, option, options_of


@dataclass(frozen=True, slots=True)
class Inner:
    """A group."""

    size: int = option("Size.", 3, minimum=1)
    hidden: int = option("Not offered by `Outer`.", 7)
    internal: int = 5


@dataclass(frozen=True, slots=True)
class Outer:
    """Options, some of them in a group."""

    name: str = option("Name.", metavar="NAME")
    inner: Inner = group("in_", "size")
    tags: tuple[str, ...] = option("Tags.", ())
    lr: float | None = option("Learning rate.", None)


def test_the_options_of_a_dataclass_are_listed_in_its_order() -> None:
    """With the prefix of their group; a field without `option` is not one."""
    listed = {each.name: each for each in options_of(Outer)}
    assert list(listed) == ["name", "in_size", "tags", "lr"]
    assert [each.required for each in listed.values()] == [True, False, False, False]
    assert [each.value_type for each in listed.values()] == [str, int, tuple[str, ...], float]
    size = listed["in_size"]
    assert (size.flag, size.default, size.minimum) == ("--in-size", 3, 1)


def test_values_by_name_make_the_dataclass() -> None:
    """An option without a value keeps its default, in groups too."""
    made = from_values(Outer, {"name": "a", "in_size": 4})
    assert made == Outer("a", inner=Inner(size=4))
    assert made.inner.internal == 5


def test_a_command_gets_its_dataclasses_filled() -> None:
    """From the parameters that take their place; repeatable options become tuples."""
    given: list[Any] = []

    @with_options
    def command(path: str, *, outer: Outer, inner: Inner) -> None:
        given.append((path, outer, inner))

    names = list(inspect.signature(command).parameters)
    assert names == ["path", "name", "in_size", "tags", "lr", "size", "hidden"]
    command(path="p", name="a", in_size=4, tags=["x"], lr=None, size=2, hidden=1)
    assert given == [("p", Outer("a", inner=Inner(4), tags=("x",)), Inner(2, 1))]


def test_an_optional_dataclass_is_none_without_its_first_option() -> None:
    """As `scan` has no CLM without `--clm`."""
    given: list[Any] = []

    @with_options
    def command(*, outer: Outer | None) -> None:
        given.append(outer)

    assert inspect.signature(command).parameters["name"].default is None
    for name in (None, "a"):
        command(name=name, in_size=3, tags=None, lr=None)
    assert given == [None, Outer("a", inner=Inner())]


@pytest.mark.parametrize("name", ["adapter", "device", "dtype", "batch_tokens"])
def test_a_clm_is_loaded_by_the_same_options_everywhere(name: str) -> None:
    """`erasetest probe --clm-device` and `pytest --clm-device`: one description, one default."""
    declared = {each.name: each for each in options_of(LoadOptions, "clm_")}[f"clm_{name}"]
    commands: Any = typer.main.get_command(app)
    parameters = {p.name: p for p in commands.commands["probe"].params}
    parameter = parameters[f"clm_{name}"]
    assert parameter.opts == [declared.flag]
    assert (parameter.help, parameter.default) == (declared.description, declared.default)
    assert declared in OPTIONS


def test_the_defaults_of_erasing_are_those_of_its_settings() -> None:
    """They are declared for users without torch, and again for programs."""
    assert EraseOptions().settings() == ErasureSettings()
