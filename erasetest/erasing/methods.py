"""Names of erasing methods and precisions, which can be checked without torch."""

from __future__ import annotations

from erasetest.errors import BadInput

METHOD_NAMES = ("codeeraser", "codeeraser-no-kl", "cu", "decoys", "ga", "lasting", "npo")
"""The names of `erasetest.erasing.objectives.METHODS`, which imports torch."""

DEFAULT_METHOD = "decoys"

PRECISIONS = ("auto", "float32", "bfloat16")
"""The precisions of the forward passes of erasing."""


def check_method(name: str) -> None:
    """Refuse an unknown erasing method.

    Raises:
        BadInput: naming it and those that there are.
    """
    if name not in METHOD_NAMES:
        raise BadInput(f"no erasing method {name!r}: expected one of {', '.join(METHOD_NAMES)}")
