"""Sensitive samples: code with marked secrets, the manifests that hold them, and their masking."""

from erasetest.samples.manifest import (
    check_manifest,
    iter_manifest,
    read_manifest,
    read_manifests,
    write_manifest,
)
from erasetest.samples.manifest_rows import as_row, to_line
from erasetest.samples.masked import Masked
from erasetest.samples.sample import Secret, SensitiveSample, Source, content_id, make_sample

__all__ = [
    "Masked",
    "Secret",
    "SensitiveSample",
    "Source",
    "as_row",
    "check_manifest",
    "content_id",
    "iter_manifest",
    "make_sample",
    "read_manifest",
    "read_manifests",
    "to_line",
    "write_manifest",
]
