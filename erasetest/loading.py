"""Check and load a CLM by the name that users type: a folder, a hub id, or `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from erasetest.clm.adapter_folder import ADAPTER_CONFIG, check_adapter
from erasetest.demo.build import Progress, demo_clm, demo_family
from erasetest.endpoint.url import is_endpoint, split_endpoint
from erasetest.errors import BadInput

if TYPE_CHECKING:
    from erasetest.clm import Clm, LoadOptions


def check_clm_name(name: str, adapter: str | None = None, *, endpoint: bool = False) -> None:
    """Refuse a name that no CLM can have, and a folder that holds none; hub ids are not looked up.

    Of a CLM behind a URL nothing is known but what it answers; where `endpoint`, that is enough.

    Raises:
        BadInput: naming what was given.
    """
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
        if (place / ADAPTER_CONFIG).is_file():
            raise BadInput(
                f"{name}: is an adapter: name its base with --clm, and this with --clm-adapter"
            )
        raise BadInput(f"{name}: has no config.json: name a folder that save_pretrained wrote")


def open_clm(
    name: str, options: LoadOptions | None = None, progress: Progress | None = None
) -> Clm:
    """Load the CLM of this name; the demo is trained first where the cache does not hold it.

    Raises:
        BadInput: see `load_clm`.
    """
    from erasetest.clm import load_clm

    family = demo_family(name)
    if family is None:
        return load_clm(name, options)
    clm = load_clm(str(demo_clm(family, progress)), options)
    clm.name = f"demo:{family}"
    return clm
