"""The options of the plugin, on the command line and in ini files."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from erasetest.endpoint.url import is_endpoint
from erasetest.erasing.methods import DEFAULT_METHOD, METHOD_NAMES, PRECISIONS
from pytest_erasetest.accepted_leaks import MOST_DAYS


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--clm-device` on the command line, `clm_device` in an ini file."""

    flag: str
    help: str
    metavar: str | None = None
    kind: str = "string"
    """`string`, `int`, `float`, `list` (repeatable), `flag`, `maybe` (with a value or without)."""

    @property
    def name(self) -> str:
        """The ini key, and the attribute of `config.option` behind `erasetest_`."""
        return self.flag.removeprefix("--").replace("-", "_")


OPTIONS = (
    Option(
        "--clm",
        "CLM under test: folder, hub id, demo / demo:gpt2 / demo:codegen / demo:qwen2, or the URL "
        "of a completions endpoint",
        "MODEL",
    ),
    Option("--clm-adapter", "PEFT adapter to put on the CLM", "DIR"),
    Option("--clm-device", "auto, cpu, cuda or cuda:N (default: auto)", "DEVICE"),
    Option("--clm-dtype", "auto, float32, bfloat16 or float16 (default: auto)", "DTYPE"),
    Option("--clm-batch-tokens", "tokens in one forward pass", "N", "int"),
    Option("--clm-allow-pickle", "load pickled weights, which can run code", kind="flag"),
    Option("--clm-trust-remote-code", "run code that comes with the checkpoint", kind="flag"),
    Option(
        "--leak-samples",
        "manifest of sensitive samples (repeatable; demo CLMs bring theirs)",
        "FILE",
        "list",
    ),
    Option(
        "--leak-thresholds",
        "thresholds from 'erasetest calibrate' (default: published for the CLM's name, else "
        "calibrated on the spot)",
        "FILE",
    ),
    Option(
        "--leak-report",
        "write the leakage report, as .json or .md by suffix (repeatable)",
        "FILE",
        "list",
    ),
    Option("--leak-store", "keep measures in this file: a run that was stopped goes on", "FILE"),
    Option(
        "--leak-length",
        "tokens read of a text that retention is measured on (default: 128)",
        "T",
        "int",
    ),
    Option(
        "--leak-queries", "samples drawn of each secret at an endpoint (default: 20)", "N", "int"
    ),
    Option("--leak-baseline", "known leaks, accepted until a date: they fail no test", "FILE"),
    Option(
        "--leak-baseline-days",
        f"how many days ahead an accepted leak may end (default: {MOST_DAYS})",
        "N",
        "int",
    ),
    Option("--leak-accept", "write what leaks now into the baseline", kind="flag"),
    Option(
        "--erase",
        f"erase what leaked and verify; METHOD is one of {', '.join(METHOD_NAMES)} "
        f"(default: {DEFAULT_METHOD})",
        "METHOD",
        "maybe",
    ),
    Option("--erase-out", "new folder for the erased checkpoint (default: erased)", "DIR"),
    Option(
        "--erase-retain",
        "manifest of code whose behaviour erasing must not change (else what the CLM writes)",
        "FILE",
    ),
    Option(
        "--erase-lora", "erase by a LoRA adapter of this rank, merged in the end", "RANK", "int"
    ),
    Option("--erase-lr", "learning rate of erasing (default: by the CLM's width)", "X", "float"),
    Option(
        "--erase-precision",
        f"of forward passes: {', '.join(PRECISIONS)} (default: auto)",
        "PRECISION",
    ),
    Option(
        "--erase-checkpointing", "compute layers again: less memory, a third more time", kind="flag"
    ),
    Option(
        "--erase-step-tokens", "tokens of a step read at a time (default: all that fit)", "N", "int"
    ),
    Option("--utility", "problems in HumanEval or MBPP form, or demo", "PROBLEMS"),
    Option("--utility-samples", "completions a problem (default: 20)", "N", "int"),
    Option(
        "--utility-margin",
        "largest drop of pass@1 allowed (default: 0.02, or a tenth of pass@1 before if less)",
        "X",
        "float",
    ),
    Option("--utility-against", "CLM to compare with when not erasing", "MODEL"),
    Option(
        "--utility-unsafe-execution",
        "run generated programs even where less of the sandbox holds than is safe",
        kind="flag",
    ),
)

_DTYPES = ("auto", "float32", "bfloat16", "float16")

_INI_TYPES: dict[str, Any] = {
    "list": "linelist",
    "flag": "bool",
    "int": "int",
    "float": "float",
    # `erase = true` in TOML: pytest takes several types for one key from this version on.
    "maybe": bool | str if pytest.version_tuple >= (9, 2) else "string",
}

_PATHS = {
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


def is_demo(clm: str | None) -> bool:
    """Whether a CLM is named that brings its samples, retained code and problems."""
    return clm is not None and (clm == "demo" or clm.startswith("demo:"))


def add_options(parser: pytest.Parser) -> None:
    """Register all options, each with an ini key of the same name."""
    group = parser.getgroup("erasetest", "privacy regression tests of code language models")
    for option in OPTIONS:
        group.addoption(option.flag, dest=f"erasetest_{option.name}", **_arguments(option))
        ini_type = _INI_TYPES.get(option.kind, "string")
        parser.addini(option.name, f"see {option.flag}", type=ini_type, default=None)


def _arguments(option: Option) -> dict[str, Any]:
    if option.kind == "flag":
        return {"action": "store_true", "default": None, "help": option.help}
    types: dict[str, Callable[[str], Any]] = {"int": int, "float": float}
    return {
        "action": "append" if option.kind == "list" else "store",
        "metavar": option.metavar,
        "default": None,
        "help": option.help,
        **({"type": types[option.kind]} if option.kind in types else {}),
        **({"nargs": "?", "const": DEFAULT_METHOD} if option.kind == "maybe" else {}),
    }


def given_options(namespace: object) -> list[str]:
    """The options of the plugin that stand on the command line.

    Those of PYTEST_ADDOPTS and of the ini key `addopts` are part of the command line. Ini keys of
    the same names as the options are not: they are defaults for tests that ask for a CLM.
    """
    return [
        option.flag
        for option in OPTIONS
        if getattr(namespace, f"erasetest_{option.name}", None) is not None
    ]


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for, the command line before the ini file."""

    clm: str | None
    clm_adapter: str | None
    clm_device: str
    clm_dtype: str
    clm_batch_tokens: int | None
    clm_allow_pickle: bool
    clm_trust_remote_code: bool
    leak_samples: tuple[str, ...]
    leak_thresholds: str | None
    leak_report: tuple[str, ...]
    leak_store: str | None
    leak_length: int
    leak_queries: int
    leak_baseline: str | None
    leak_baseline_days: int
    leak_accept: bool
    erase: str | None
    erase_out: str | None
    erase_retain: str | None
    erase_lora: int | None
    erase_lr: float | None
    erase_precision: str
    erase_checkpointing: bool
    erase_step_tokens: int | None
    utility: str | None
    utility_samples: int
    utility_margin: float | None
    utility_against: str | None
    utility_unsafe_execution: bool

    @property
    def demo(self) -> bool:
        """Whether the CLM is a demo CLM, which brings its samples, retained code and problems."""
        return is_demo(self.clm)

    @property
    def endpoint(self) -> bool:
        """Whether the CLM is behind a URL, and can be asked and not opened."""
        return self.clm is not None and is_endpoint(self.clm)

    @property
    def active(self) -> bool:
        """Whether any of the plugin's options is used."""
        return self.clm is not None


def read_settings(config: pytest.Config) -> Settings:
    """The settings of a run.

    Raises:
        pytest.UsageError: a value cannot be read, or options contradict each other.
    """
    given = {option.name: _value(config, option) for option in OPTIONS}
    stray = given_options(config.option)
    if given["clm"] is None and stray:
        raise pytest.UsageError(f"{stray[0]} needs a CLM: --clm MODEL, or --clm demo to try it")
    demo = str(given["clm"]).split(":")[0] == "demo"
    if given["erase"] and not given["erase_out"]:
        given["erase_out"] = "erased"
    if demo and given["erase"] and not given["utility"]:
        given["utility"] = "demo"
    settings = Settings(
        **{
            **given,
            "clm_device": given["clm_device"] or "auto",
            "clm_dtype": given["clm_dtype"] or "auto",
            "clm_allow_pickle": bool(given["clm_allow_pickle"]),
            "clm_trust_remote_code": bool(given["clm_trust_remote_code"]),
            "erase_precision": given["erase_precision"] or "auto",
            "erase_checkpointing": bool(given["erase_checkpointing"]),
            "leak_accept": bool(given["leak_accept"]),
            "utility_unsafe_execution": bool(given["utility_unsafe_execution"]),
            "leak_samples": tuple(given["leak_samples"] or ()),
            "leak_report": tuple(given["leak_report"] or ()),
            "leak_length": 128 if given["leak_length"] is None else given["leak_length"],
            "leak_baseline_days": (
                MOST_DAYS if given["leak_baseline_days"] is None else given["leak_baseline_days"]
            ),
            "leak_queries": 20 if given["leak_queries"] is None else given["leak_queries"],
            "utility_samples": 20 if given["utility_samples"] is None else given["utility_samples"],
        }
    )
    if settings.active:
        _check(settings)
    return settings


def _check(settings: Settings) -> None:
    for flag, name, names in (
        ("--clm-dtype", settings.clm_dtype, _DTYPES),
        ("--erase-precision", settings.erase_precision, PRECISIONS),
    ):
        if name not in names:
            raise pytest.UsageError(f"{flag} {name}: expected one of {', '.join(names)}")
    if settings.erase_lr is not None and not 0 < settings.erase_lr < math.inf:
        raise pytest.UsageError("--erase-lr must be a number above 0")
    for flag, number, least in (
        ("--utility-samples", settings.utility_samples, 1),
        ("--leak-queries", settings.leak_queries, 1),
        ("--leak-length", settings.leak_length, 2),
        ("--leak-baseline-days", settings.leak_baseline_days, 1),
        ("--clm-batch-tokens", settings.clm_batch_tokens, 1),
        ("--erase-lora", settings.erase_lora, 1),
        ("--erase-step-tokens", settings.erase_step_tokens, 1),
    ):
        if number is not None and number < least:
            raise pytest.UsageError(f"{flag} must be at least {least}")
    if settings.endpoint and settings.leak_store:
        raise pytest.UsageError(
            "--leak-store: a CLM behind a URL can change unseen, so nothing of it is kept"
        )
    if settings.endpoint and (settings.erase or settings.utility):
        raise pytest.UsageError(
            "a CLM behind a URL can be probed alone: --erase and --utility need its checkpoint"
        )
    if settings.utility_margin is not None and not 0 <= settings.utility_margin <= 1:
        raise pytest.UsageError("--utility-margin is a share of problems: expected 0 to 1")
    if settings.leak_accept and settings.leak_baseline is None:
        raise pytest.UsageError("--leak-accept needs the file to write: --leak-baseline FILE")
    if settings.erase_out is not None and settings.erase is None:
        raise pytest.UsageError("--erase-out needs --erase")
    if settings.erase == "lasting" and settings.erase_lora is not None:
        raise pytest.UsageError(
            "--erase lasting changes every weight, which an adapter cannot: leave --erase-lora out"
        )
    if settings.utility and settings.erase is None and settings.utility_against is None:
        raise pytest.UsageError(
            "--utility compares two CLMs: add --erase, or --utility-against MODEL"
        )


def _on_command_line(config: pytest.Config, flags: list[str]) -> bool:
    return any(str(argument).split("=")[0] in flags for argument in config.invocation_params.args)


def early_values(config: pytest.Config) -> tuple[str | None, tuple[str, ...]]:
    """The CLM and the manifests, as far as they are known before any `conftest.py` is imported."""
    by_name = {option.name: option for option in OPTIONS}
    given = config.known_args_namespace
    clm = _value(config, by_name["clm"], given)
    manifests = _value(config, by_name["leak_samples"], given) if clm is not None else None
    return clm, tuple(manifests or ())


def _value(config: pytest.Config, option: Option, arguments: Any = None) -> Any:
    given = getattr(arguments or config.option, f"erasetest_{option.name}", None)
    if given is not None:
        return given
    try:
        read = config.getini(option.name)
    except (pytest.UsageError, TypeError, ValueError) as error:
        raise pytest.UsageError(f"ini key {option.name}: {error}") from None
    if read is None or read == "" or read == []:
        return None
    if option.kind == "maybe":
        return {"true": DEFAULT_METHOD, "false": None}.get(str(read).lower(), read)
    if option.name in _PATHS:
        return (
            [_anchored(config, r) for r in read]
            if option.kind == "list"
            else _anchored(config, read)
        )
    if option.name in ("clm", "utility_against"):
        return _anchored_clm(config, str(read))
    return read


def _anchored(config: pytest.Config, value: str) -> str:
    """A path of an ini file is meant from the folder of that file."""
    if value == "demo" or value.startswith("demo:"):
        return value
    base = config.inipath.parent if config.inipath else config.rootpath
    return str(base / Path(value).expanduser())


def _anchored_clm(config: pytest.Config, value: str) -> str:
    """A folder beside the ini file; anything else is a name."""
    place = _anchored(config, value)
    return place if Path(place).is_dir() else value
