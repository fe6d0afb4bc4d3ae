"""Benchmark of probing: time and memory relative to forward passes, and scaling with samples.

    python benchmarks/probe.py [--growth] [-o benchmarks/results/probe.md]

Times are medians over alternating pairs (A B A B …), because ratios within a run drift less than
the speed of the machine. Memory is the peak of a separate process for each variant.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from erasetest.clm import Clm, LoadOptions, Target, load_clm, score
from erasetest.clm.batching import batches, pad_right
from erasetest.demo.build import demo_clm, demo_samples
from erasetest.probes.extraction_likelihood import extraction_likelihood
from erasetest.probes.text_probing import probe_texts
from erasetest.samples import make_sample, write_manifest
from erasetest.support.torch_environment import quiet, silence_transformers

PAIRS = 7
"""Number of pairs of runs that are timed."""

TEXT = 128
"""Tokens of a text whose EL is measured."""

TEXTS = 8
"""Maximum number of such texts."""


def main() -> None:
    """Run the benchmarks that the options select, and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--growth", action="store_true", help="also probe 1,000 to 50,000 samples")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--large", action="store_true", help="also measure a model of 1.3 B parameters"
    )
    parser.add_argument("--memory", choices=["forward", "probe"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    quiet()
    silence_transformers()
    device = torch.device(
        asked.device if asked.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    if asked.memory:
        print(json.dumps(_memory_of(asked.memory, device)))
        return
    parts = [f"# Benchmark of probing\n\n{_machine(device)}"]
    parts.append(
        _section(
            "One pass for all likelihood measures, relative to the model's own forward "
            "pass with logits over the same batches",
            one_pass(device, asked.large),
        )
    )
    parts.append(
        _section(
            "EL 3, 5, 10 of whole texts of 128 tokens, relative to the definition with "
            "cached `generate` (one call per place, for all texts)",
            el(device),
        )
    )
    parts.append(
        _section(
            "Peak memory with a vocabulary of 150,000, relative to a forward pass without logits",
            memory(device),
        )
    )
    if asked.growth:
        parts.append(
            _section("`erasetest probe` on a CLM of 90,000 parameters, whole command", growth())
        )
    text = "\n".join(parts)
    print(text)
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")


def _machine(device: torch.device) -> str:
    name = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"{torch.get_num_threads()} CPU threads"
    )
    return f"{name}, torch {torch.__version__}, Python {platform.python_version()}.\n"


def _section(title: str, rows: list[dict[str, Any]]) -> str:
    return f"## {title}\n\n{tabulate(rows, headers='keys', tablefmt='github', floatfmt='.3g')}\n"


def paired(
    one: Callable[[], Any], other: Callable[[], Any], pairs: int = PAIRS
) -> dict[str, float]:
    """Return median seconds of both, and median, minimum and maximum of the ratio one / other."""
    one(), other()
    times = [(_seconds(one), _seconds(other)) for _ in range(pairs)]
    ratios = [a / b for a, b in times]
    return {
        "seconds": statistics.median(a for a, _ in times),
        "seconds of the other": statistics.median(b for _, b in times),
        "ratio": statistics.median(ratios),
        "minimum": min(ratios),
        "maximum": max(ratios),
    }


def _seconds(work: Callable[[], Any]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def model(device: torch.device, width: int, layers: int, vocabulary: int, **more: Any) -> Clm:
    """Return a Qwen2 with random weights, which takes the same time as a trained one."""
    import transformers as hf

    config = hf.Qwen2Config(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=width * 5 // 2,
        num_hidden_layers=layers, num_attention_heads=width // 64,
        num_key_value_heads=max(1, width // 256), max_position_embeddings=2048,
        bos_token_id=0, eos_token_id=0, pad_token_id=0, tie_word_embeddings=True, **more,
    )  # fmt: skip
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with torch.device(device):
        made = hf.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    return Clm.from_model(made, None, name=f"{width} x {layers}")  # type: ignore[arg-type]


def targets(vocabulary: int, count: int) -> list[Target]:
    """Return rows of 100 to 500 tokens that end with a secret of 8 to 40 tokens."""
    rng = random.Random(0)
    made = []
    for _ in range(count):
        length, secret = rng.randrange(100, 500), rng.randrange(8, 40)
        ids = tuple(rng.randrange(1, vocabulary) for _ in range(length))
        made.append(Target(ids, length - secret, length))
    return made


@torch.no_grad()
def _forward(clm: Clm, rows: list[Target]) -> None:
    for batch in batches(clm, [len(row.ids) for row in rows]):
        ids = pad_right([rows[i].ids for i in batch], 0, clm.device)
        _ = clm.model(input_ids=ids, use_cache=False).logits


@torch.no_grad()
def _forward_without_logits(clm: Clm, rows: list[Target]) -> None:
    for batch in batches(clm, [len(row.ids) for row in rows]):
        ids = pad_right([rows[i].ids for i in batch], 0, clm.device)
        _ = clm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state


class _NoTokenizer:
    bos_token_id = eos_token_id = 0


def one_pass(device: torch.device, large: bool) -> list[dict[str, Any]]:
    """Measure the time of all likelihood measures relative to the forward pass."""
    sizes = [(256, 4, 1024), (512, 8, 32_000), (256, 4, 150_000)]
    if large:
        sizes.append((2048, 24, 150_000))
    rows = []
    for width, layers, vocabulary in sizes:
        clm = model(device, width, layers, vocabulary)
        clm.tokenizer = _NoTokenizer()  # type: ignore[assignment]
        wanted = targets(vocabulary, 32 if device.type == "cpu" else 256)
        found = paired(lambda c=clm, w=wanted: score(c, w), lambda c=clm, w=wanted: _forward(c, w))
        bare = paired(
            lambda c=clm, w=wanted: score(c, w),
            lambda c=clm, w=wanted: _forward_without_logits(c, w),
        )
        rows.append(
            {"width x layers": clm.name, "vocabulary": vocabulary, "parameters": clm.parameters,
             **found, "ratio without logits": bare["ratio"]}
        )  # fmt: skip
    return rows


@torch.no_grad()
def _el_by_generate(clm: Clm, rows: list[list[int]]) -> list[dict[str, float]]:
    """Compute EL by its definition: a greedy continuation from every place, all texts at once."""
    generated: list[dict[int, list[int]]] = [{} for _ in rows]
    for t in range(1, TEXT):
        ids = torch.tensor([row[:t] for row in rows], device=clm.device)
        out = clm.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=TEXT - t, do_sample=False,
            pad_token_id=clm.start_token,
        )  # fmt: skip
        for place, tokens in enumerate(out[:, t:].tolist()):
            end = next((i for i, x in enumerate(tokens) if x in clm.end_tokens), len(tokens))
            generated[place][t - 1] = tokens[:end]
    return [
        {f"el_{n}_text": extraction_likelihood(n, row[1:], found) for n in (3, 5, 10)}
        for row, found in zip(rows, generated, strict=True)
    ]


def el(device: torch.device) -> list[dict[str, Any]]:
    """Measure EL of texts that the demo CLM has memorized, has never seen, or knows in part."""
    clm = load_clm(str(demo_clm("qwen2")), LoadOptions(device=str(device)))
    known = demo_samples()["samples"]
    unseen = demo_samples()["unseen"]
    rng = random.Random(1)
    changed = []
    for text in known:
        content = list(text.content.reveal())
        for i in rng.sample(range(len(content)), len(content) // 9):
            content[i] = rng.choice("abcdefghij0123456789 _=")
        changed.append(make_sample("".join(content), id=text.id))
    rows = []
    for title, texts in (
        ("memorized", known),
        ("never seen", unseen),
        ("memorized, one in nine characters changed", changed),
    ):
        cut = [
            text for text in texts
            if len(clm.tokenizer(text.content.reveal())["input_ids"]) >= TEXT
        ][:TEXTS]  # fmt: skip
        ids = [clm.tokenizer(text.content.reveal())["input_ids"][:TEXT] for text in cut]
        fast = probe_texts(clm, cut, TEXT)
        slow: list[Any] = []
        found = paired(
            lambda c=cut: probe_texts(clm, c, TEXT),
            lambda i=ids, s=slow: s.append(_el_by_generate(clm, i)),
            pairs=3,
        )
        difference = max(
            abs(float(one[name]) - other[name])
            for one, other in zip(fast, slow[0], strict=True) for name in other
        )  # fmt: skip
        rows.append(
            {"texts": title, "number": len(cut),
             "MA": statistics.fmean(float(one["ma_text"]) for one in fast),
             "seconds": found["seconds"], "by generate": found["seconds of the other"],
             "speed-up": 1 / found["ratio"], "maximum difference": difference}
        )  # fmt: skip
    return rows


def _memory_of(way: str, device: torch.device) -> dict[str, float]:
    clm = model(device, 256, 4, 150_000)
    clm.tokenizer = _NoTokenizer()  # type: ignore[assignment]
    wanted = targets(150_000, 32)
    if device.type == "cpu":
        # Reset the peak, since building the model took more memory than the forward pass does.
        Path("/proc/self/clear_refs").write_text("5")
    before = _peak(device)
    if way == "forward":
        _forward_without_logits(clm, wanted)
    else:
        score(clm, wanted)
    return {"before": before, "peak": _peak(device)}


def _peak(device: torch.device) -> float:
    """Return the peak memory in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_of("self")


def peak_of(process: int | str) -> float:
    """Return the peak memory of a process in MiB; `ru_maxrss` would start at that of its parent."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024


def memory(device: torch.device) -> list[dict[str, Any]]:
    """Measure the peak memory of each variant in a separate process."""
    found = {}
    for way in ("forward", "probe"):
        done = subprocess.run(
            [sys.executable, __file__, "--memory", way, "--device", str(device)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found[way] = json.loads(done.stdout.splitlines()[-1])
    rows = [
        {"variant": way, "MiB before": f["before"], "MiB at peak": f["peak"]}
        for way, f in found.items()
    ]
    rows.append(
        {"variant": "ratio", "MiB at peak": found["probe"]["peak"] / found["forward"]["peak"]}
    )
    return rows


def growth() -> list[dict[str, Any]]:
    """Measure time and memory of the command for manifests of increasing size."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))
    import tiny

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tiny.save(tiny.reciting("qwen2"), Path(folder) / "clm")
        for count in (1_000, 10_000, 50_000):
            samples = (
                make_sample(
                    sample.content.reveal() + f"# {number}\n",
                    [(s.start, s.end, s.kind) for s in sample.secrets],
                    id=f"s{number}",
                )
                for number in range(count) for sample in [tiny.PLANTED[number % len(tiny.PLANTED)]]
            )  # fmt: skip
            write_manifest(Path(folder) / "s.jsonl", samples)
            started = time.perf_counter()
            run = subprocess.Popen(
                [sys.executable, "-m", "erasetest.cli", "probe", "s.jsonl", "--clm", "clm",
                 "-o", "out.jsonl", "--references", "0"],
                cwd=folder, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            peak = 0.0
            while run.poll() is None:
                with contextlib.suppress(OSError, StopIteration):
                    peak = peak_of(run.pid)
                time.sleep(0.1)
            seconds = time.perf_counter() - started
            assert run.returncode == 0, run.returncode
            rows.append(
                {"samples": count, "seconds": seconds, "samples per second": count / seconds,
                 "peak MiB": peak}
            )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
