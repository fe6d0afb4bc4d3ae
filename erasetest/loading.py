"""Check and load a CLM by its name: a folder, a hub id, a GGUF file, or `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from erasetest.clm.adapter_folder import ADAPTER_CONFIG, check_adapter
from erasetest.clm.gguf import check_gguf, gguf_checkpoint, is_gguf
from erasetest.demo.build import demo_clm, demo_family
from erasetest.endpoint.url import is_endpoint, split_endpoint
from erasetest.errors import BadInput
from erasetest.support.progress import Progress

if TYPE_CHECKING:
    from erasetest.clm import Clm, LoadOptions


def check_clm_name(name: str, adapter: str | None = None, *, endpoint: bool = False) -> None:
    """Refuse a name that cannot be that of a CLM, and a folder without one.

    Hub ids are not looked up, and no server is asked.

    Args:
        name: the name.
        adapter: folder of an adapter to merge into the CLM.
        endpoint: whether a URL is allowed: such a CLM can be probed, but not changed.

    Raises:
        BadInput: with the name that was given.
    """
    if adapter is not None:
        check_adapter(adapter)
    if is_endpoint(name):
        # The URL may contain a key, so it is checked before it is shown in a header or report.
        split_endpoint(name)
        if not endpoint:
            raise BadInput(f"{name}: is an endpoint, which can only be probed: give a checkpoint")
        if adapter is not None:
            raise BadInput(
                f"{adapter}: an endpoint takes no adapter: load it on the server, or give a "
                "checkpoint"
            )
        return
    if demo_family(name) is not None:
        return
    if is_gguf(name):
        check_gguf(name)
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
    """Load a CLM by its name; the demo is trained first if the cache does not have it.

    Args:
        name: a folder, a hub id, a GGUF file, `demo` or `demo:FAMILY`.
        options: how it is loaded; None for the defaults.
        progress: called with the finished training steps of the demo and their number.

    Raises:
        BadInput: see `load_clm`.
    """
    from erasetest.clm import load_clm

    if is_gguf(name):
        clm = load_clm(name, options, folder=gguf_checkpoint(name, progress))
        clm.dequantized = True
        return clm
    family = demo_family(name)
    if family is None:
        return load_clm(name, options)
    return load_clm(f"demo:{family}", options, folder=demo_clm(family, progress))
