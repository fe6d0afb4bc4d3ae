"""Names of erasing methods and precisions, which can be checked without importing torch."""

from __future__ import annotations

from erasetest.errors import BadInput

METHOD_NAMES = ("codeeraser", "codeeraser-no-kl", "cu", "decoys", "ga", "lasting", "npo")
"""The keys of `erasetest.erasing.objectives.METHODS`, which imports torch."""

DEFAULT_METHOD = "decoys"

PRECISIONS = ("auto", "float32", "bfloat16")
"""The precisions of erasing's forward passes."""


def check_method(name: str) -> None:
    """Refuse an unknown erasing method.

    Raises:
        BadInput: the message lists the known ones.
    """
    if name not in METHOD_NAMES:
        raise BadInput(f"no erasing method {name!r}: expected one of {', '.join(METHOD_NAMES)}")
