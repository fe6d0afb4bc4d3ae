"""Register the options with pytest; read their values from the command line and the ini file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from erasetest.support.option_fields import Option
from pytest_erasetest.options import OPTIONS, PATHS

_INI_TYPES: dict[Any, Any] = {str: "string", int: "int", float: "float", bool: "bool"}


def add_options(parser: pytest.Parser) -> None:
    """Register all options, each with an ini key of the same name."""
    group = parser.getgroup("erasetest", "privacy regression tests of code language models")
    for option in OPTIONS:
        group.addoption(option.flag, dest=f"erasetest_{option.name}", **_arguments(option))
        parser.addini(option.name, f"see {option.flag}", type=_ini_type(option), default=None)


def _arguments(option: Option) -> dict[str, Any]:
    if option.value_type is bool:
        return {"action": "store_true", "default": None, "help": option.description}
    repeatable = isinstance(option.default, tuple)
    arguments: dict[str, Any] = {
        "action": "append" if repeatable else "store",
        "metavar": option.metavar,
        "default": None,
        "help": _help(option),
    }
    if option.value_type in (int, float):
        arguments["type"] = option.value_type
    if option.value_if_bare is not None:
        arguments |= {"nargs": "?", "const": option.value_if_bare}
    return arguments


def _help(option: Option) -> str:
    if option.default in (None, ()) or "(default" in option.description:
        return option.description
    return f"{option.description.removesuffix('.')} (default: {option.default})."


def _ini_type(option: Option) -> Any:
    if isinstance(option.default, tuple):
        return "linelist"
    if option.value_if_bare is not None and pytest.version_tuple >= (9, 2):
        # `erase = true` in TOML: older versions of pytest take one type per key.
        return bool | str
    return _INI_TYPES[option.value_type]


def given_options(namespace: object) -> list[str]:
    """Return the options of the plugin that are on the command line.

    PYTEST_ADDOPTS and the ini key `addopts` are part of the command line. Ini keys with the names
    of options are not: they are defaults for tests that ask for a CLM.
    """
    return [
        option.flag
        for option in OPTIONS
        if getattr(namespace, f"erasetest_{option.name}", None) is not None
    ]


def read_values(config: pytest.Config) -> dict[str, Any]:
    """Return the values of all options that are set, by name.

    Raises:
        pytest.UsageError: a value in the ini file has the wrong type.
    """
    values = {option.name: _value(config, option, config.option) for option in OPTIONS}
    return {name: value for name, value in values.items() if value is not None}


def early_values(config: pytest.Config) -> tuple[str | None, tuple[str, ...]]:
    """Return the CLM and the manifests, as far as known before any `conftest.py` is imported."""
    by_name = {option.name: option for option in OPTIONS}
    given = config.known_args_namespace
    clm = _value(config, by_name["clm"], given)
    manifests = _value(config, by_name["leak_samples"], given) if clm is not None else None
    return clm, tuple(manifests or ())


def _value(config: pytest.Config, option: Option, arguments: object) -> Any:
    """Return the value on the command line, else in the ini file, else None."""
    given = getattr(arguments, f"erasetest_{option.name}", None)
    if given is not None:
        return tuple(given) if isinstance(given, list) else given
    try:
        value = config.getini(option.name)
    except (pytest.UsageError, TypeError, ValueError) as error:
        raise pytest.UsageError(f"ini key {option.name}: {error}") from None
    if value is None or value in ("", []):
        return None
    if option.value_if_bare is not None:
        return {"true": option.value_if_bare, "false": None}.get(str(value).lower(), value)
    if isinstance(value, list):
        return tuple(_absolute(config, one) for one in value)
    if option.name in PATHS:
        return _absolute(config, value)
    if option.name in ("clm", "utility_against"):
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
