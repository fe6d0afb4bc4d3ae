"""Check and load a CLM by its name: a folder, a hub id, a GGUF file, or `demo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from erasetest.clm.adapter_folder import ADAPTER_CONFIG, check_adapter
from erasetest.clm.gguf import check_gguf, gguf_checkpoint, is_gguf
from erasetest.demo.build import demo_clm, demo_family
from erasetest.endpoint.url import is_endpoint, split_endpoint
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
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


def check_base(
    base: str,
    clm: str,
    samples: Sequence[SensitiveSample],
    options: LoadOptions,
    progress: Progress | None = None,
) -> None:
    """Refuse a base whose measures cannot be compared with those of the CLM under test.

    Both checkpoints are found, and trained or fetched if needed. Only their tokenizers are loaded.

    Args:
        base: the name of the CLM before the training.
        clm: the name of the CLM under test.
        samples: the samples that both are measured on.
        options: how the CLM under test is loaded. Its adapter is not put on the base.
        progress: as for `open_clm`.

    Raises:
        BadInput: both have the same weights, one of them cannot be found or has no usable
            tokenizer, or their tokens differ.
    """
    from erasetest.clm.fingerprint import WEIGHTS, fingerprint
    from erasetest.clm.token_comparison import token_difference
    from erasetest.clm.tokenizer import load_tokenizer
    from erasetest.support.torch_environment import silence_transformers

    silence_transformers()
    folders = {name: _folder(name, options, progress) for name in (base, clm)}
    adapter = Path(options.adapter).expanduser() if options.adapter else None
    # Of weights alone: training changes those, and a copy may have another configuration.
    if fingerprint(folders[base], None, WEIGHTS) == fingerprint(folders[clm], adapter, WEIGHTS):
        raise BadInput(
            f"{base}: has the same weights as {clm}, so nothing could be new: name the CLM before "
            "the training (--clm-base)"
        )
    one, other = (load_tokenizer(name, folders[name], options) for name in (base, clm))
    difference = token_difference(one, other, samples)
    if difference is not None:
        raise BadInput(
            f"{base}: cannot be compared with {clm} token by token: their {difference}: name the "
            f"CLM that {clm} was trained from (--clm-base)"
        )


def _folder(name: str, options: LoadOptions, progress: Progress | None) -> Path:
    """Return the folder of a checkpoint."""
    from erasetest.clm.load import checkpoint_folder

    if is_gguf(name):
        return gguf_checkpoint(name, progress)
    family = demo_family(name)
    return demo_clm(family, progress) if family else checkpoint_folder(name, options)
