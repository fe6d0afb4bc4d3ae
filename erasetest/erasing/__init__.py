"""Erasing: machine unlearning of the secrets of given samples, and of nothing else.

Names of methods can be checked without torch; everything else imports it on first use.
"""

from typing import TYPE_CHECKING

from erasetest.erasing.methods import DEFAULT_METHOD, METHOD_NAMES, check_method
from erasetest.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from erasetest.erasing.checkpoint import save_checkpoint
    from erasetest.erasing.erasure_result import Erasure
    from erasetest.erasing.erasure_settings import ErasureSettings
    from erasetest.erasing.lora import Lora
    from erasetest.erasing.objectives import METHODS
    from erasetest.erasing.pipeline import check_request, count_unlisted_erasures, erase_to
    from erasetest.erasing.self_generated import self_generated_texts
    from erasetest.erasing.trainer import erase

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "METHOD_NAMES",
    "Erasure",
    "ErasureSettings",
    "Lora",
    "check_method",
    "check_request",
    "count_unlisted_erasures",
    "erase",
    "erase_to",
    "save_checkpoint",
    "self_generated_texts",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "save_checkpoint": "checkpoint",
        "Erasure": "erasure_result",
        "ErasureSettings": "erasure_settings",
        "METHODS": "objectives",
        "check_request": "pipeline",
        "erase_to": "pipeline",
        "count_unlisted_erasures": "pipeline",
        "self_generated_texts": "self_generated",
        "Lora": "lora",
        "erase": "trainer",
    },
)
