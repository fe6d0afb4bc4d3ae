"""Register the options with pytest; read their values from the command line and the ini file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_erasetest.option_table import OPTION_TABLE

_KINDS = {name: kind for name, kind, _, _ in OPTION_TABLE}

_INI_TYPES = {"str": "string", "int": "int", "float": "float", "bool": "bool", "list": "linelist"}

_PATHS = frozenset(
    {
        "clm_adapter",
        "erase_out",
        "erase_retain",
        "leak_baseline",
        "leak_report",
        "leak_samples",
        "leak_store",
        "leak_thresholds",
        "utility",
    }
)
"""Options whose values in an ini file are relative to the folder of that file."""


def add_options(parser: pytest.Parser) -> None:
    """Register all options, each with an ini key of the same name."""
    group = parser.getgroup("erasetest", "privacy regression tests of code language models")
    for name, kind, metavar, help_text in OPTION_TABLE:
        arguments = {"default": None, "help": help_text, **_arguments(kind, metavar)}
        group.addoption(flag_of(name), dest=f"erasetest_{name}", **arguments)
        parser.addini(name, f"see {flag_of(name)}", type=_ini_type(kind), default=None)


def flag_of(name: str) -> str:
    """Return the option on the command line."""
    return "--" + name.replace("_", "-")


def _arguments(kind: str, metavar: str | None) -> dict[str, Any]:
    if kind == "bool":
        return {"action": "store_true"}
    if kind == "list":
        return {"action": "append", "metavar": metavar}
    bare, value = _bare(kind)
    if bare:
        return {"nargs": "?", "const": value, "metavar": metavar}
    return {"type": {"str": str, "int": int, "float": float}[kind], "metavar": metavar}


def _bare(kind: str) -> tuple[bool, str]:
    """Return whether an option may have no value, and what it then stands for."""
    word, _, value = kind.partition(" ")
    return word == "bare", value


def _ini_type(kind: str) -> Any:
    if not _bare(kind)[0]:
        return _INI_TYPES[kind]
    # `erase = true` in TOML: versions of pytest before 9.2 take one type per key.
    return bool | str if pytest.version_tuple >= (9, 2) else "string"


def given_options(namespace: object) -> list[str]:
    """Return the options of the plugin that are on the command line.

    PYTEST_ADDOPTS and the ini key `addopts` are part of the command line. Ini keys with the names
    of options are not: they are defaults for tests that ask for a CLM.
    """
    return [
        flag_of(name)
        for name in _KINDS
        if getattr(namespace, f"erasetest_{name}", None) is not None
    ]


def options_named_in(arguments: set[str]) -> list[str]:
    """Return the options of the plugin that are among some words of a command line."""
    return [flag_of(name) for name in _KINDS if flag_of(name) in arguments]


def read_values(config: pytest.Config) -> dict[str, Any]:
    """Return the values of all options that are set, by name.

    Raises:
        pytest.UsageError: a value in the ini file has the wrong type.
    """
    values = {name: _value(config, name, config.option) for name in _KINDS}
    return {name: value for name, value in values.items() if value is not None}


def early_values(config: pytest.Config) -> tuple[str | None, tuple[str, ...]]:
    """Return the CLM and the manifests, as far as known before any `conftest.py` is imported."""
    given = config.known_args_namespace
    clm = _value(config, "clm", given)
    manifests = _value(config, "leak_samples", given) if clm is not None else None
    return clm, tuple(manifests or ())


def _value(config: pytest.Config, name: str, arguments: object) -> Any:
    """Return the value on the command line, else in the ini file, else None."""
    given = getattr(arguments, f"erasetest_{name}", None)
    if given is not None:
        return tuple(given) if isinstance(given, list) else given
    try:
        value = config.getini(name)
    except (pytest.UsageError, TypeError, ValueError) as error:
        raise pytest.UsageError(f"ini key {name}: {error}") from None
    if value is None or value in ("", []):
        return None
    bare, value_if_bare = _bare(_KINDS[name])
    if bare:
        return {"true": value_if_bare, "false": None}.get(str(value).lower(), value)
    if isinstance(value, list):
        return tuple(_absolute(config, one) for one in value)
    if name in _PATHS:
        return _absolute(config, value)
    if name in ("clm", "clm_base", "utility_against"):
        # A folder beside the ini file; anything else is a name.
        path = _absolute(config, str(value))
        return path if Path(path).is_dir() else str(value)
    return value


def _absolute(config: pytest.Config, value: str) -> str:
    """Return a path that is given relative to the ini file."""
    if value == "demo" or value.startswith("demo:"):
        return value
    base = config.inipath.parent if config.inipath else config.rootpath
    return str(base / Path(value).expanduser())
