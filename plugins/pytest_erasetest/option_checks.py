"""Make the settings of a run, and refuse options that contradict each other."""

from __future__ import annotations

import math
from typing import Any

import pytest

from erasetest.endpoint.url import is_endpoint
from erasetest.errors import BadInput
from erasetest.support.option_fields import from_values
from pytest_erasetest.option_values import given_options, read_values
from pytest_erasetest.options import OPTIONS, Settings, is_demo


def read_settings(config: pytest.Config) -> Settings:
    """Return the settings of a run.

    Raises:
        pytest.UsageError: a value cannot be read, or options contradict each other.
    """
    return make_settings(read_values(config), given_options(config.option))


def make_settings(values: dict[str, Any], given: list[str]) -> Settings:
    """Return the settings for the values of options.

    Args:
        values: those that are set, by name.
        given: the options on the command line.

    Raises:
        pytest.UsageError: values are out of range, or contradict each other.
    """
    clm = values.get("clm")
    if clm is None and given:
        raise pytest.UsageError(f"{given[0]} needs a CLM: --clm MODEL, or --clm demo to try it")
    if values.get("erase"):
        values["erase_out"] = values.get("erase_out") or "erased"
        if is_demo(clm):
            values["utility"] = values.get("utility") or "demo"
    if clm is not None:
        # Before the settings are made, whose own checks do not name the option.
        _check_values(values)
    try:
        settings = from_values(Settings, values)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None
    if clm is not None:
        _check_combinations(settings)
    return settings


def _check_values(values: dict[str, Any]) -> None:
    for option in OPTIONS:
        value = values.get(option.name)
        if value is None:
            continue
        if option.choices and value not in option.choices:
            raise pytest.UsageError(
                f"{option.flag} {value}: expected one of {', '.join(option.choices)}"
            )
        if option.minimum is not None and value < option.minimum:
            raise pytest.UsageError(f"{option.flag} must be at least {option.minimum}")
    if not 0 < values.get("erase_lr", 1) < math.inf:
        raise pytest.UsageError("--erase-lr must be a number above 0")
    if not 0 <= values.get("utility_margin", 0) <= 1:
        raise pytest.UsageError("--utility-margin is a share of problems: expected 0 to 1")


def _check_combinations(settings: Settings) -> None:
    if settings.endpoint and settings.leak_store:
        raise pytest.UsageError(
            "--leak-store: a CLM behind a URL can change without notice, so its measures are not "
            "saved: leave --leak-store out"
        )
    if settings.endpoint and (settings.erase or settings.utility):
        raise pytest.UsageError(
            "a CLM behind a URL can only be probed: --erase and --utility need its checkpoint"
        )
    if settings.clm_base is not None and (settings.endpoint or is_endpoint(settings.clm_base)):
        option = "--clm" if settings.endpoint else "--clm-base"
        raise pytest.UsageError(
            f"{option} is a URL, and --clm-base compares measures that no endpoint gives: name "
            "two checkpoints"
        )
    if settings.leak_new_only and settings.clm_base is None:
        raise pytest.UsageError(
            "--leak-new-only needs the CLM before this training: --clm-base MODEL"
        )
    if settings.leak_accept and settings.leak_baseline is None:
        raise pytest.UsageError("--leak-accept needs the file to write: --leak-baseline FILE")
    if settings.erase_out is not None and settings.erase is None:
        raise pytest.UsageError("--erase-out needs --erase")
    if settings.erase == "lasting" and settings.erasing.lora is not None:
        raise pytest.UsageError(
            "--erase lasting changes every weight, which an adapter cannot: leave --erase-lora out"
        )
    if settings.utility and settings.erase is None and settings.utility_against is None:
        raise pytest.UsageError(
            "--utility compares two CLMs: add --erase, or --utility-against MODEL"
        )
