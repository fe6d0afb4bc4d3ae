"""What a step of erasing costs, as ratios within one run.

    python benchmarks/erase_step.py [-o benchmarks/results/erase_step.md] [--large]

Beside a plain forward and backward pass over the same tokens: ours, the same objective with a
second model that is kept, and the scheme of the paper's reference code (the trained model reads the
forget set twice, forget and retained code apart, a second model once each). `decoys` reads what it
reads when it erases: twice the retained code, ends of texts and decoys; so does the plain pass that
it is compared with. Times are medians of alternating rounds; memory is the peak of a process of its
own for each way, two AdamW steps long.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from erasetest.clm import Clm, load_clm, wrap
from erasetest.clm.batching import group_by_length, pad_right
from erasetest.demo.build import demo_clm, demo_samples
from erasetest.erasing.examples import (
    TokenizedExample,
    append_eos,
    decoy_examples,
    forget_examples,
    retained_examples,
)
from erasetest.erasing.forward import read_step
from erasetest.erasing.objectives import METHODS, Weights
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.trainable import Lora, TrainableModel
from erasetest.support.torch_environment import (
    peak_memory,
    quiet,
    reset_peak_memory,
    silence_transformers,
)

ROUNDS = 5
IGNORED = -100
PLAIN_DECOYS = "plain, what decoys reads"
ALIKE = {PLAIN_DECOYS: PLAIN_DECOYS, "ours, decoys": PLAIN_DECOYS}
"""The plain pass over the same tokens, where that is not `plain`."""

Work = Callable[[], None]
Term = tuple[torch.Tensor, torch.Tensor, bool]
"""Of a row: its loss, its divergence, and whether it is to be forgotten."""


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--large", action="store_true", help="1.3 B parameters, on a GPU")
    parser.add_argument("--memory", nargs=2, metavar=("MODEL", "WAY"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    quiet()
    silence_transformers()
    if asked.memory:
        print(json.dumps(_peak(*asked.memory)))
        return
    models = ["demo", "wide", *(["large"] if asked.large else [])]
    parts = [f"# A step of erasing, measured\n\n{_machine()}\n"]
    for name in models:
        parts.append(_section(name, asked.rounds))
        print(parts[-1], flush=True)
    if asked.output:
        asked.output.write_text("\n".join(parts), encoding="utf-8")


def _section(name: str, rounds: int) -> str:
    step = Step(name)
    ways = step.ways()
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for way, work in ways.items():
            seconds[way].append(_timed(work))
    memory = {way: _memory(name, way) for way in ways}
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    rows = [
        {
            "way": way,
            "s a step": medians[way],
            "x plain": medians[way] / medians[ALIKE.get(way, "plain")],
            "two models / ours": _ratio(seconds, way, "two models"),
            "reference scheme / ours": _ratio(seconds, way, "reference scheme"),
            "peak MiB": memory[way] / 2**20,
            "x plain, peak": memory[way] / memory[ALIKE.get(way, "plain")],
        }
        for way in ways
    ]
    return (
        f"## {step.words}\n\n{tabulate(rows, headers='keys', tablefmt='github', floatfmt='.2f')}\n"
    )


def _ratio(seconds: dict[str, list[float]], way: str, other: str) -> float | None:
    if not way.startswith("ours, codeeraser"):
        return None
    return statistics.median(
        there / here for there, here in zip(seconds[other], seconds[way], strict=True)
    )


def _timed(work: Work) -> float:
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _memory(model: str, way: str) -> int:
    done = subprocess.run(
        [sys.executable, __file__, "--memory", model, way],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return int(json.loads(done.stdout.splitlines()[-1]))


def _peak(model: str, way: str) -> int:
    step = Step(model)
    work = step.ways()[way]
    reset_peak_memory(step.clm.device)
    parameters = [p for p in step.clm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-6)
    for _ in range(2):
        work()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return peak_memory(step.clm.device) or 0


class Step:
    """The rows of one step, and the ways of computing its gradient."""

    def __init__(self, name: str) -> None:
        rng = random.Random(0)
        manifests = demo_samples()
        if name == "demo":
            self.clm = load_clm(str(demo_clm("qwen2")))
            forget = manifests["samples"][:32]
            retained = manifests["retained"]
        else:
            self.clm = _model(name)
            count = 8 if name == "wide" else 32
            forget, retained = manifests["samples"][:count], manifests["retained"]
        self.forget = forget_examples(self.clm, forget)[0]
        self.retained = retained_examples(self.clm, retained)
        self.kept = self.retained[: len(forget)]
        self.decoys = decoy_examples(self.clm, forget, self.forget, rng)
        rows = [*self.forget, *self.kept]
        config = self.clm.model.config
        self.words = (
            f"{name}: {self.clm.parameters / 1e6:,.1f} M parameters, width {config.hidden_size}, "
            f"vocabulary {config.vocab_size:,}, {len(rows)} rows of "
            f"{sum(len(r.ids) for r in rows):,} tokens (with those of decoys "
            f"{sum(len(r.ids) for part in self._read_by('decoys') for r in part):,})"
        )

    def _read_by(
        self, method: str
    ) -> tuple[list[TokenizedExample], list[TokenizedExample], list[TokenizedExample]]:
        """What a step of a method reads: forget set, retained code and decoys."""
        how = METHODS[method]
        kept = self.retained[: len(self.kept) * how.retained]
        rows = (self.forget, kept, self.decoys if how.decoys else [])
        if not how.ends:
            return rows
        return append_eos(self.clm, rows[0]), append_eos(self.clm, rows[1]), rows[2]

    def ways(self) -> dict[str, Work]:
        """Each gives the CLM's parameters gradients, added to those that are there."""
        return {
            "plain": lambda: self._plain([*self.forget, *self.kept]),
            PLAIN_DECOYS: lambda: self._plain(list(itertools.chain(*self._read_by("decoys")))),
            "ours, codeeraser": self._ours("codeeraser"),
            "ours, decoys": self._ours("decoys"),
            "ours, codeeraser, layers computed again": self._ours("codeeraser", checkpointing=True),
            "two models": self._two_models(),
            "reference scheme": self._reference_scheme(),
            "ours, codeeraser by LoRA": self._ours("codeeraser", lora=True),
        }

    def _clear(self) -> None:
        for parameter in self.clm.model.parameters():
            parameter.grad = None

    def _plain(self, rows: Sequence[TokenizedExample]) -> None:
        """Fine-tuning: cross-entropy of all tokens, in one forward and one backward pass."""
        self.clm.model.requires_grad_(True)
        self._clear()
        total = sum(len(row.ids) - 1 for row in rows)
        losses = []
        for group in group_by_length([len(row.ids) for row in rows]):
            ids, labels = self._batch([rows[i] for i in group])
            logits = self.clm.model(input_ids=ids, use_cache=False).logits
            losses.append(
                torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
                )
            )
        (torch.stack(losses).sum() / total).backward()

    def _ours(self, method: str, *, checkpointing: bool = False, lora: bool = False) -> Work:
        made: list[Any] = []
        forget, kept, decoys = self._read_by(method)

        def work() -> None:
            if not made:
                clm = copy.copy(self.clm)
                if lora:
                    clm.model = copy.deepcopy(clm.model)
                trained = TrainableModel(
                    clm, Lora() if lora else None,
                    precision="auto", checkpointing=checkpointing, seed=0,
                )  # fmt: skip
                reference = ReferenceModel(clm, trained.head, trained.computing)
                with trained.original():
                    reference.remember([*forget, *kept])
                made.extend((clm, trained, reference))
            clm, trained, reference = made
            if not lora:
                clm.model.requires_grad_(True)
            for parameter in trained.parameters:
                parameter.grad = None
            seen = read_step(clm, reference, trained, forget, kept, decoys)
            # What the stop rule is told.
            assert seen.is_finite()
            seen.accuracies()
            if decoys:
                seen.likelier()
            active = frozenset(n for row in forget for n in row.secrets)
            seen.backward(METHODS[method].loss(seen.groups(active), Weights()))

        return work

    def _two_models(self) -> Work:
        """CodeEraser's terms from two models, each reading forget and retained rows once."""

        def step(original: Any) -> list[Term]:
            rows = [*self.forget, *self.kept]
            terms: list[Term] = []
            for group in group_by_length([len(row.ids) for row in rows]):
                ids, labels = self._batch([rows[i] for i in group])
                now = self.clm.model(input_ids=ids, use_cache=False).logits
                with torch.no_grad():
                    then = original(input_ids=ids, use_cache=False).logits
                for n, i in enumerate(group):
                    loss, divergence = _terms(now[n], then[n], labels[n])
                    terms.append((loss, divergence, i < len(self.forget)))
            return terms

        return self._beside_the_original(step)

    def _reference_scheme(self) -> Work:
        """Forget and retained rows apart, padded to the longest; forget rows read twice."""

        def step(original: Any) -> list[Term]:
            terms: list[Term] = []
            ids, labels = self._batch(self.forget)
            first = self.clm.model(input_ids=ids, use_cache=False).logits
            again = self.clm.model(input_ids=ids, use_cache=False).logits
            with torch.no_grad():
                then = original(input_ids=ids, use_cache=False).logits
            for n in range(len(ids)):
                loss, _ = _terms(first[n], then[n], labels[n])
                _, divergence = _terms(again[n], then[n], labels[n])
                terms.append((loss, divergence, True))
            ids, labels = self._batch(self.kept)
            now = self.clm.model(input_ids=ids, use_cache=False).logits
            with torch.no_grad():
                then = original(input_ids=ids, use_cache=False).logits
            return terms + [(*_terms(now[n], then[n], labels[n]), False) for n in range(len(ids))]

        return self._beside_the_original(step)

    def _beside_the_original(self, step: Callable[[Any], list[Term]]) -> Work:
        """Of a step that is given a second model."""
        original: list[Any] = []

        def work() -> None:
            if not original:
                original.append(copy.deepcopy(self.clm.model).requires_grad_(False))
            self.clm.model.requires_grad_(True)
            self._clear()
            _combined(step(original[0])).backward()

        return work

    def _batch(self, rows: Sequence[TokenizedExample]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = pad_right([row.ids for row in rows], self.clm.start_token, self.clm.device)
        labels = pad_right([[*row.ids[1:], IGNORED] for row in rows], IGNORED, self.clm.device)
        return ids, labels


def _terms(
    now: torch.Tensor, then: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    mask = labels != IGNORED
    p, q = now[mask].log_softmax(-1), then[mask].log_softmax(-1)
    loss = torch.nn.functional.nll_loss(p, labels[mask])
    return loss, torch.nn.functional.kl_div(p, q, log_target=True, reduction="batchmean")


def _combined(terms: list[Term]) -> torch.Tensor:
    forget = [(loss, kl) for loss, kl, wanted in terms if wanted]
    kept = [kl for _, kl, wanted in terms if not wanted]
    loss = -torch.stack([loss for loss, _ in forget]).mean()
    return loss - 0.1 * torch.stack([kl for _, kl in forget]).mean() + 51 * torch.stack(kept).mean()


def _model(name: str) -> Clm:
    """Random weights, which cost what trained ones do; the tokenizer of the demo."""
    import transformers as hf

    demo = load_clm(str(demo_clm("qwen2")))
    size: dict[str, Any] = {
        "wide": {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6,
                 "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 32_000},
        "large": {"hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 24,
                  "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 150_000},
    }[name]  # fmt: skip
    torch.manual_seed(0)
    config = hf.Qwen2Config(max_position_embeddings=512, tie_word_embeddings=True, **size)
    model: Any = hf.AutoModelForCausalLM.from_config(config).eval()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return wrap(model, demo.tokenizer, name=name)


def _machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    threads = torch.get_num_threads()
    return f"{device}, {threads} threads, {platform.machine()}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
