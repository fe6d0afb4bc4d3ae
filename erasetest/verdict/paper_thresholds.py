"""The thresholds of "Scrub It Out!" (arXiv 2509.13755), from code that was not trained on."""

from __future__ import annotations

from pathlib import Path

from erasetest.verdict.thresholds import ONE_PROMPT, Thresholds

_TABLE = {
    "codeparrot/codeparrot-small": (0.4557, 0.1766, 0.1082, 0.0549),
    "codeparrot/codeparrot": (0.4634, 0.1656, 0.1017, 0.0514),
    "salesforce/codegen-350m-mono": (0.4879, 0.1824, 0.1103, 0.0592),
    "salesforce/codegen-2b-mono": (0.5361, 0.1932, 0.1171, 0.0628),
    "qwen/qwen2.5-coder-7b": (0.4099, 0.1565, 0.1245, 0.0882),
}


def published(name: str) -> Thresholds | None:
    """Return the published thresholds of the CLM with this hub id.

    None for any other name and for a folder of this name, which may contain a CLM that was trained
    further.
    """
    values = _TABLE.get(name.lower())
    if values is None or Path(name).is_dir():
        return None
    measures = dict(zip(("ma", "el_3", "el_5", "el_10"), values, strict=True))
    return Thresholds(f"published for {name}", measures, prompts=ONE_PROMPT)
