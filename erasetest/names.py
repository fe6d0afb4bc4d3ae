"""Names of CLMs and methods: refused early where they can be seen to be none, without torch."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from erasetest.errors import BadInput

METHODS = ("codeeraser", "codeeraser-no-kl", "cu", "decoys", "ga", "lasting", "npo")
"""Of erasing; `erasetest.erase.objectives` holds their losses, and imports torch."""

DEFAULT_METHOD = "decoys"

PRECISIONS = ("auto", "float32", "bfloat16")
"""Of the forward passes of erasing."""


def check_method(name: str) -> None:
    """Refuse an unknown erasing method.

    Raises:
        BadInput: naming it and those that there are.
    """
    if name not in METHODS:
        raise BadInput(f"no erasing method {name!r}: expected one of {', '.join(METHODS)}")


def is_endpoint(name: str) -> bool:
    """Whether a CLM's name is the URL of a completions endpoint."""
    return name.startswith(("http://", "https://"))


def split_endpoint(name: str) -> SplitResult:
    """The parts of an endpoint's URL.

    Raises:
        BadInput: it is no URL, or holds a key or a query; the message does not repeat it.
    """
    try:
        parts = urlsplit(name)
    except ValueError:
        raise BadInput("the URL of the CLM cannot be read: expected http://host:port/v1") from None
    if parts.username or parts.password or parts.query:
        raise BadInput(
            "a key or a query does not belong into the URL of a CLM: set ERASETEST_API_KEY"
        )
    return parts


def check_clm_name(name: str, adapter: str | None = None, *, endpoint: bool = False) -> None:
    """Refuse a name that no CLM can have, and a folder that holds none; hub ids are not looked up.

    Of a CLM behind a URL nothing is known but what it answers; where `endpoint`, that is enough.

    Raises:
        BadInput: naming what was given.
    """
    from erasetest.demo.build import demo_family

    if is_endpoint(name):
        # Before anything shows it: a header, a report.
        split_endpoint(name)
        if not endpoint:
            raise BadInput(f"{name}: is an endpoint, which can be probed alone: give a checkpoint")
        return
    if demo_family(name) is not None:
        return
    place = Path(name).expanduser()
    named_as_path = place.is_absolute() or name.startswith(("./", "../", "~"))
    if not name or (not place.is_dir() and (named_as_path or name.count("/") != 1)):
        raise BadInput(
            f"{name or repr(name)}: no such folder: name a model folder, a hub id or demo"
        )
    if place.is_dir() and not any(
        (place / file).is_file() for file in ("config.json", "adapter_config.json")
    ):
        raise BadInput(f"{name}: has no config.json: name a folder that save_pretrained wrote")
    if adapter is not None and not Path(adapter).is_dir():
        raise BadInput(f"{adapter}: no such folder: --clm-adapter names that of a PEFT adapter")
