"""Benchmark of scanning: speed, scaling, agreement with detect-secrets, recall and precision.

    python benchmarks/scan.py [-o benchmarks/results/scan.md] [--megabytes 1000] [--parts PART ...]

The parts, each saved when it is measured:
- `identity`: the Python standard library with planted secrets, against detect-secrets' `scan_file`;
- `growth`: time and memory from 10 MB to the largest corpus, with one process and with two;
- `worth`: recall and precision by kind on the largest corpus;
- `real`: findings in the installed standard library and site-packages.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from detect_secrets.core.scan import _is_filtered_out, scan_file
from detect_secrets.settings import default_settings
from detect_secrets.util.code_snippet import get_code_snippet
from scan_corpus import found_in_manifest, generate, score
from tabulate import tabulate

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.samples import iter_manifest
from erasetest.scanning import Document, find_secrets
from erasetest.scanning.detect_secrets_findings import plugin_findings, plugins_used

MAX_EXAMPLES = 3
"""Maximum number of examples per kind."""

LINES_PER_SECRET = 400
"""Number of lines of the standard library per planted secret."""

SCAN_SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from erasetest.scanning import ScanSettings, prefilter, scan_to
folder, output, processes, use_hyperscan = sys.argv[1:]
if use_hyperscan == "no":
    prefilter.has_hyperscan = lambda: False
started = time.perf_counter()
result = scan_to(Path(output), [Path(folder)], ScanSettings(processes=int(processes)))
print(json.dumps({
    "seconds": time.perf_counter() - started, "characters": result.characters,
    "samples": result.written, "secrets": result.secrets,
    "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "worker_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
}))
"""


def main() -> None:
    """Measure the parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/scan.md"))
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--parts", nargs="*", default=[*PARTS])
    arguments = parser.parse_args()
    data_path = arguments.output.with_suffix(".json")
    known: dict[str, Any] = json.loads(data_path.read_text()) if data_path.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in arguments.parts:
            measured = PARTS[part](folder, arguments.megabytes)
            known |= {part: measured}
            data_path.write_text(json.dumps(known, indent=1) + "\n")
            arguments.output.write_text(tables(known), encoding="utf-8")
    print(arguments.output.read_text())


def identity(folder: Path, _megabytes: int) -> dict[str, Any]:
    """Scan the standard library with planted secrets, with detect-secrets and with erasetest."""
    library = folder / "library"
    planted = _plant(library)
    paths = sorted(library.rglob("*.py"))
    started = time.perf_counter()
    with default_settings():
        theirs = {
            (str(path), found.type, found.secret_value, found.line_number)
            for path in paths
            for found in scan_file(str(path))
        }
        seconds = time.perf_counter() - started
        ours = {(str(path), *found) for path in paths for found in _filtered_plugin_findings(path)}
    timed = {
        use_hyperscan: [_scan(library, folder / "found.jsonl", 1, use_hyperscan) for _ in range(3)]
        for use_hyperscan in ("yes", "no")
    }
    lines_found = [_lines_found(path) for path in paths]
    seen = {
        (str(path), line) for path, lines in zip(paths, lines_found, strict=True) for line in lines
    }
    kinds = sorted({kind for _, kind, _, _ in theirs})
    return {
        "files": len(paths),
        "megabytes": sum(path.stat().st_size for path in paths) / 1e6,
        "planted": planted,
        "detect_secrets_seconds": seconds,
        "hyperscan_seconds": statistics.median(run["seconds"] for run in timed["yes"]),
        "re_seconds": statistics.median(run["seconds"] for run in timed["no"]),
        "findings": len(theirs),
        "same": len(theirs & ours),
        "only_theirs": len(theirs - ours),
        "only_ours": len(ours - theirs),
        "lines_by_kind": {
            kind: [
                sum((path, line) in seen for path, what, _, line in theirs if what == kind),
                sum(what == kind for _, what, _, _ in theirs),
            ]
            for kind in kinds
        },
    }


def _plant(library: Path) -> int:
    """Copy the standard library with planted secrets, and return the number of secrets."""
    source = Path(sysconfig.get_paths()["stdlib"])
    rng = random.Random(0)
    kinds = sorted(GENERATORS)
    planted = 0
    for path in sorted(source.rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            lines = path.read_text("utf-8").splitlines(keepends=True)
        except (OSError, UnicodeDecodeError):
            continue
        last = len(lines) - len(lines) % LINES_PER_SECRET
        for at in range(last, 0, -LINES_PER_SECRET):
            kind = rng.choice(kinds)
            value = GENERATORS[kind](rng).replace("\n", "\\n")
            lines.insert(at, f'{kind.replace("-", "_")} = "{value}"\n')
            planted += 1
        target = library / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(lines), "utf-8", newline="")
    return planted


def _filtered_plugin_findings(path: Path) -> set[tuple[str, str, int]]:
    """Return prefiltered findings of detect-secrets' plugins, after its filters."""
    text = path.read_text("utf-8")
    document = Document.of(str(path), text)
    lines = text.split("\n")
    name = str(path)
    kept = set()
    for line, kind, masked in plugin_findings(document):
        number, value = document.number_of(line), masked.reveal()
        context = get_code_snippet(lines=lines, line_number=number)
        where = {"filename": name, "line": line.text}
        secret = {"secret": value, "plugin": plugins_used()[kind]}
        if not (
            _is_filtered_out(["filename"], filename=name)
            or _is_filtered_out(["line"], **where, context=context)
            or _is_filtered_out(["secret"], **where, **secret)
            or _is_filtered_out(["context"], **where, **secret, context=context)
        ):
            kept.add((kind, value, number))
    return kept


def _lines_found(path: Path) -> set[int]:
    """Return the numbers of the lines in which our detectors find something."""
    document = Document.of(str(path), path.read_text("utf-8"))
    found = set()
    for finding in find_secrets(document):
        line = document.line_at(finding.start)
        if line is not None:
            # detect-secrets reports a private key at its first line, too.
            found.add(document.number_of(line))
    return found


def growth(folder: Path, megabytes: int) -> list[dict[str, Any]]:
    """Measure time and memory by size, with one process and with two."""
    rows = []
    for size in (10, 100, megabytes):
        corpus = folder / f"corpus{size}" / "code"
        corpus.parent.mkdir()
        generate(corpus, size)
        for processes in (1, 2):
            run = _scan(corpus, folder / "found.jsonl", processes, "yes")
            rows.append({"megabytes": size, "processes": processes, **run})
            print(rows[-1], flush=True)
        shutil.rmtree(corpus.parent)
    return rows


def worth(folder: Path, megabytes: int) -> dict[str, Any]:
    """Measure recall and precision by kind."""
    corpus = folder / "worth" / "code"
    corpus.parent.mkdir()
    labels = generate(corpus, megabytes, seed=1)
    found = folder / "found.jsonl"
    run = _scan(corpus, found, 2, "yes")
    scores = score(labels, found_in_manifest(found, corpus))
    return {
        **run,
        "megabytes": megabytes,
        "kinds": {
            kind: {
                "planted": one.planted, "exact": one.exact_recall, "recall": one.recall,
                "precision": one.precision, "false": one.false,
                "instead": dict(one.instead.most_common(2)),
            }
            for kind, one in scores.kinds.items()
        },
        "negatives": {
            reason: [one.planted, sum(one.found.values()), dict(one.found.most_common(2))]
            for reason, one in scores.negatives.items()
        },
    }  # fmt: skip


def real(folder: Path, _megabytes: int) -> dict[str, Any]:
    """Scan the installed Python standard library and site-packages; mask the findings."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found = folder / "found.jsonl"
    run = _scan(library, found, 2, "yes")
    kinds: dict[str, dict[str, Any]] = {}
    for sample in iter_manifest(found):
        assert sample.source is not None
        text = sample.content.reveal()
        for secret in sample.secrets:
            kind = kinds.setdefault(secret.kind, {"places": 0, "different": set(), "examples": []})
            kind["places"] += 1
            kind["different"].add(secret.text.reveal())
            path = Path(sample.source.path)
            # File names and examples alternate: at most one example per file name.
            if len(kind["examples"]) < 2 * MAX_EXAMPLES and path.name not in kind["examples"]:
                before = text[: secret.start].rpartition("\n")[2].strip()[-40:]
                after = text[secret.end :].partition("\n")[0].strip()[:20]
                size = secret.end - secret.start
                shown = f"`{before}▒{size}▒{after}`".replace("|", "¦")
                kind["examples"] += [path.name, f"{path.relative_to(library)}: {shown}"]
    for kind in kinds.values():
        kind["different"] = len(kind["different"])
        kind["examples"] = kind["examples"][1::2]
    return run | {"kinds": kinds}


def _scan(folder: Path, output: Path, processes: int, use_hyperscan: str) -> dict[str, Any]:
    command = [sys.executable, "-c", SCAN_SCRIPT, folder, output, str(processes), use_hyperscan]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


PARTS = {"identity": identity, "growth": growth, "worth": worth, "real": real}


def tables(known: dict[str, Any]) -> str:
    """Return all results as Markdown."""
    parts = ["# Scanning, measured"]
    if "identity" in known:
        parts += _identity_tables(known["identity"])
    if "growth" in known:
        rows = [
            [
                row["megabytes"], row["processes"], row["seconds"],
                row["megabytes"] / row["seconds"], row["mib"],
                row["worker_mib"] if row["processes"] > 1 else None, row["samples"],
            ]
            for row in known["growth"]
        ]  # fmt: skip
        headers = ["MB", "processes", "s", "MB/s", "MiB, peak", "MiB per worker", "samples"]
        one, two = ([row for row in rows if row[1] == count] for count in (1, 2))
        parts += [
            "## From 10 MB up",
            tabulate(rows, headers, tablefmt="github", floatfmt=".1f"),
            f"Time per MB at the largest size relative to 100 MB: "
            f"{one[-1][2] / one[-1][0] / (one[1][2] / one[1][0]):.2f}; two processes: "
            f"{one[-1][2] / two[-1][2]:.2f} times as fast as one.",
        ]
    if "worth" in known:
        parts += _worth_tables(known["worth"])
    if "real" in known:
        rows = [
            [kind, one["places"], one["different"], "<br>".join(one["examples"])]
            for kind, one in sorted(known["real"]["kinds"].items())
        ]
        parts += [
            "## The installed standard library and site-packages",
            f"{known['real']['characters'] / 1e6:.0f} million characters in "
            f"{known['real']['seconds']:.0f} s, two processes: {known['real']['samples']} samples. "
            "The number between shades is the length of the finding in characters.",
            tabulate(rows, ["kind", "places", "different", "examples"], tablefmt="github"),
        ]
    return "\n\n".join(parts) + "\n"


def _identity_tables(row: dict[str, Any]) -> list[str]:
    theirs = row["detect_secrets_seconds"]
    rows = [
        [name, seconds, row["megabytes"] / seconds, theirs / seconds]
        for name, seconds in (
            ("detect-secrets, scan_file", theirs),
            ("erasetest, without hyperscan", row["re_seconds"]),
            ("erasetest, with hyperscan", row["hyperscan_seconds"]),
        )
    ]
    kinds = [[kind, *counts] for kind, counts in row["lines_by_kind"].items()]
    return [
        "## Against detect-secrets",
        f"The Python standard library, {row['files']} files, {row['megabytes']:.1f} MB, with "
        f"{row['planted']} planted secrets; one process.",
        tabulate(rows, ["", "s", "MB/s", "times"], tablefmt="github", floatfmt=".1f"),
        f"Findings of its plugins: {row['findings']} by `scan_file`. In prefiltered lines, "
        f"{row['same']} of these are found, {row['only_theirs']} are missing, and "
        f"{row['only_ours']} are additional (values, kinds and lines compared, after its "
        "filters).",
        "Lines that `scan_file` reports, and how many of them our detectors report:",
        tabulate(kinds, ["kind", "also found by ours", "reported"], tablefmt="github"),
    ]


def _worth_tables(worth_row: dict[str, Any]) -> list[str]:
    kinds = [
        [
            kind, one["planted"], one["exact"], one["recall"], one["precision"], one["false"],
            ", ".join(f"{name} {count}" for name, count in one["instead"].items()),
        ]
        for kind, one in worth_row["kinds"].items()
    ]  # fmt: skip
    negatives = [
        [reason, planted, found, ", ".join(f"{name} {count}" for name, count in what.items())]
        for reason, (planted, found, what) in worth_row["negatives"].items()
    ]
    headers = ["kind", "planted", "exact", "recall", "precision", "false", "found as"]
    return [
        "## Recall and precision by kind",
        f"A generated corpus of {worth_row['megabytes']} MB (benchmarks/scan_corpus): formats are "
        "those that issuers document, contexts are written by hand. Rules were tuned on 3 MB of "
        "another seed, so passwords are found better here than in real code. Exact: the same "
        "span and kind.",
        tabulate(kinds, headers, tablefmt="github", floatfmt=".3f"),
        "Places that only look like a secret, and how many were reported:",
        tabulate(negatives, ["reason", "places", "found", "as"], tablefmt="github"),
    ]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
