"""The options of the plugin: names, types, defaults and help, declared once.

`python -m pytest_erasetest.options` writes them to `option_table.py`, from which pytest registers
them: importing the declarations would make every run of pytest slower.
"""

from __future__ import annotations

import pprint
from dataclasses import dataclass, replace
from pathlib import Path

from erasetest.clm.load_options import LoadOptions
from erasetest.erasing.erase_options import EraseOptions
from erasetest.erasing.methods import DEFAULT_METHOD, METHOD_NAMES
from erasetest.support.option_fields import Option, group, option, options_of
from erasetest.utility.sampling import Sampling
from erasetest.verdict.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run.

    Each field that is declared by `option` is an option of pytest and an ini key of the same name:
    `leak_samples` is `--leak-samples`. The options of a `group` have its prefix.
    """

    clm: str | None = option(
        "CLM under test: folder, hub id, GGUF file, demo / demo:codegen / demo:gpt2 / "
        "demo:copying, or the URL of a completions endpoint.",
        None,
        metavar="MODEL",
    )
    loading: LoadOptions = group("clm_")
    clm_base: str | None = option(
        "CLM before this training, to compare with: folder, hub id, GGUF file or demo.",
        None,
        metavar="MODEL",
    )
    leak_samples: tuple[str, ...] = option(
        "Manifest of sensitive samples (repeatable; demo CLMs have their own).", (), metavar="FILE"
    )
    leak_thresholds: str | None = option(
        "Thresholds from 'erasetest calibrate' (default: published for the CLM's name, else "
        "calibrated first).",
        None,
        metavar="FILE",
    )
    leak_report: tuple[str, ...] = option(
        "Write the leakage report to this .json or .md file (repeatable).", (), metavar="FILE"
    )
    leak_store: str | None = option(
        "Save measures to this file, so that a stopped run resumes.", None, metavar="FILE"
    )
    leak_length: int = option(
        "Tokens per text that retention is measured on.", 128, metavar="T", minimum=2
    )
    leak_queries_limit: int | None = option(
        "Samples within which an extraction at even odds is a leak; 0: sampling decides nothing "
        "(default: that of the thresholds, 10000).",
        None,
        metavar="N",
        minimum=0,
    )
    leak_queries: int = option(
        "Completions sampled per secret at an endpoint.", 20, metavar="N", minimum=1
    )
    leak_baseline: str | None = option(
        "Known leaks, accepted until a date: they fail no test.", None, metavar="FILE"
    )
    leak_baseline_days: int = option(
        "Maximum number of days for which a leak may be accepted.", 365, metavar="N", minimum=1
    )
    leak_accept: bool = option("Write the current leaks to the baseline.", False)
    leak_new_only: bool = option("Fail only for leaks that --clm-base does not have.", False)
    erase: str | None = option(
        f"Erase what leaked and verify; METHOD is one of {', '.join(METHOD_NAMES)} "
        f"(default: {DEFAULT_METHOD}).",
        None,
        metavar="METHOD",
        value_if_bare=DEFAULT_METHOD,
    )
    erase_out: str | None = option(
        "New folder for the erased checkpoint (default: erased).", None, metavar="DIR"
    )
    erase_retain: str | None = option(
        "Manifest of code whose behaviour must not change (default: code that the CLM generates).",
        None,
        metavar="FILE",
    )
    erasing: EraseOptions = group(
        "erase_", "lora", "lr", "precision", "checkpointing", "step_tokens"
    )
    utility: str | None = option(
        "Problems in HumanEval or MBPP format, or demo.", None, metavar="PROBLEMS"
    )
    sampling: Sampling = group("utility_", "samples")
    utility_margin: float | None = option(
        "Largest accepted drop of pass@1 (default: 0.02, or a tenth of pass@1 before if that is "
        "less).",
        None,
        metavar="X",
    )
    utility_against: str | None = option(
        "CLM to compare with when not erasing.", None, metavar="MODEL"
    )
    utility_unsafe_execution: bool = option(
        "Run generated programs even if the machine supports too few layers of the sandbox.", False
    )

    @property
    def demo(self) -> bool:
        """Whether the CLM is a demo CLM, which has samples, retained code and problems."""
        return is_demo(self.clm)

    @property
    def endpoint(self) -> bool:
        """Whether the CLM is behind a URL: it can be queried, and not loaded."""
        from erasetest.endpoint.url import is_endpoint

        return self.clm is not None and is_endpoint(self.clm)

    def limited(self, thresholds: Thresholds) -> Thresholds:
        """Return thresholds with the number of samples that this run allows."""
        limit = self.leak_queries_limit
        return thresholds if limit is None else replace(thresholds, queries_limit=limit)

    @property
    def erase_options(self) -> EraseOptions:
        """The settings of erasing, with the method that `--erase` gives."""
        return replace(self.erasing, method=self.erase or DEFAULT_METHOD)


OPTIONS = tuple(options_of(Settings))


def is_demo(clm: str | None) -> bool:
    """Whether this is the name of a demo CLM."""
    return clm is not None and (clm == "demo" or clm.startswith("demo:"))


def option_table() -> tuple[tuple[str, str, str | None, str], ...]:
    """Return a row per option: name, kind, metavar and help, as `option_table.py` explains them."""
    return tuple((each.name, _kind(each), each.metavar, _help(each)) for each in OPTIONS)


def _kind(option: Option) -> str:
    if isinstance(option.default, tuple):
        return "list"
    if option.value_if_bare is not None:
        return f"bare {option.value_if_bare}"
    kind: str = option.value_type.__name__
    return kind


def _help(option: Option) -> str:
    if option.value_type is bool or option.default in (None, ()):
        return option.description
    if "(default" in option.description:
        return option.description
    return f"{option.description.removesuffix('.')} (default: {option.default})."


def write_option_table() -> None:
    """Replace the rows of `option_table.py`."""
    path = Path(__file__).with_name("option_table.py")
    head, marker, _ = path.read_text(encoding="utf-8").partition("] = ")
    rows = pprint.pformat(option_table(), width=96)
    path.write_text(f"{head}{marker}{rows}\n", encoding="utf-8")


if __name__ == "__main__":
    write_option_table()
