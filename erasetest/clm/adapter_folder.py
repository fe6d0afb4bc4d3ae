"""Check folders of PEFT adapters, without importing torch."""

from __future__ import annotations

import json
from pathlib import Path

from erasetest.errors import ClmError

ADAPTER_CONFIG = "adapter_config.json"


def check_adapter(name: str) -> None:
    """Refuse a path that is not the folder of a PEFT adapter; the hub is not searched.

    Raises:
        ClmError: naming what was given.
    """
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise ClmError(
            f"{name or repr(name)}: no such folder: give --clm-adapter the folder of an adapter"
        )
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        raise ClmError(f"{name}: has no {ADAPTER_CONFIG}: name a folder that PEFT wrote")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ClmError(f"{name}: {ADAPTER_CONFIG} cannot be read ({reason})") from None
    if not isinstance(config, dict):
        raise ClmError(
            f"{name}: {ADAPTER_CONFIG} is not a JSON object: name a folder that PEFT wrote"
        )
