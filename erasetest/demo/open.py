"""Open a CLM by the name that users type: a folder, a hub id, or `demo`."""

from __future__ import annotations

from erasetest.clm import Clm, LoadOptions, load_clm
from erasetest.demo.build import Progress, demo_clm, demo_family


def open_clm(
    name: str, options: LoadOptions | None = None, progress: Progress | None = None
) -> Clm:
    """Load the CLM of this name; the demo is trained first where the cache does not hold it.

    Raises:
        BadInput: see `load_clm`.
    """
    family = demo_family(name)
    if family is None:
        return load_clm(name, options)
    clm = load_clm(str(demo_clm(family, progress)), options)
    clm.name = f"demo:{family}"
    return clm
