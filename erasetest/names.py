"""Names of CLMs and methods: refused early where they can be seen to be none, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from erasetest.errors import BadInput, ClmError

METHODS = ("codeeraser", "codeeraser-no-kl", "cu", "decoys", "ga", "lasting", "npo")
"""Of erasing; `erasetest.erase.objectives` holds their losses, and imports torch."""

DEFAULT_METHOD = "decoys"

PRECISIONS = ("auto", "float32", "bfloat16")
"""Of the forward passes of erasing."""


_ADAPTER_CONFIG = "adapter_config.json"


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

    if adapter is not None:
        check_adapter(adapter)
    if is_endpoint(name):
        # Before anything shows it: a header, a report.
        split_endpoint(name)
        if not endpoint:
            raise BadInput(f"{name}: is an endpoint, which can be probed alone: give a checkpoint")
        if adapter is not None:
            raise BadInput(
                f"{adapter}: an endpoint takes no adapter: load it on the server, or give a "
                "checkpoint"
            )
        return
    if demo_family(name) is not None:
        return
    place = Path(name).expanduser()
    named_as_path = place.is_absolute() or name.startswith(("./", "../", "~"))
    if not name or (not place.is_dir() and (named_as_path or name.count("/") != 1)):
        raise BadInput(
            f"{name or repr(name)}: no such folder: name a model folder, a hub id or demo"
        )
    if place.is_dir() and not (place / "config.json").is_file():
        if (place / _ADAPTER_CONFIG).is_file():
            raise BadInput(
                f"{name}: is an adapter: name its base with --clm, and this with --clm-adapter"
            )
        raise BadInput(f"{name}: has no config.json: name a folder that save_pretrained wrote")


def check_adapter(name: str) -> None:
    """Refuse what is no folder of a PEFT adapter; the hub is never asked for one.

    Raises:
        ClmError: naming what was given.
    """
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise ClmError(
            f"{name or repr(name)}: no such folder: --clm-adapter names that of a PEFT adapter"
        )
    path = folder / _ADAPTER_CONFIG
    if not path.is_file():
        raise ClmError(f"{name}: has no {_ADAPTER_CONFIG}: name a folder that PEFT wrote")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ClmError(f"{name}: {_ADAPTER_CONFIG} cannot be read ({reason})") from None
    if not isinstance(config, dict):
        raise ClmError(f"{name}: {_ADAPTER_CONFIG} holds no object: name a folder that PEFT wrote")
