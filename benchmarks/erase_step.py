"""Cost of an erasing step, as ratios within one run.

    python benchmarks/erase_step.py [-o benchmarks/results/erase_step.md] [--large]

Compared with a plain forward and backward pass over the same tokens: our implementation, the same
objective with a second model in memory, and the scheme of the paper's reference code (the trained
model reads the forget set twice, forget and retained code in separate passes, a second model once
each). `decoys` reads what it reads when it erases: twice the retained code, EOS tokens and decoys;
so does the plain pass that it is compared with. Times are medians of alternating rounds. Memory is
the peak of a separate process per variant, over two AdamW steps.
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

from erasetest.clm import Clm, load_clm
from erasetest.clm.batching import group_by_length, pad_right
from erasetest.demo.build import demo_clm, demo_samples
from erasetest.erasing.examples import (
    TokenizedExample,
    append_eos,
    decoy_examples,
    forget_examples,
    retained_examples,
)
from erasetest.erasing.forward import forward_step
from erasetest.erasing.lora import Lora
from erasetest.erasing.objectives import METHODS, Weights
from erasetest.erasing.reference_model import ReferenceModel
from erasetest.erasing.trainable import TrainableModel
from erasetest.samples import SensitiveSample
from erasetest.support.torch_environment import (
    peak_memory,
    quiet,
    reset_peak_memory,
    silence_transformers,
)

ROUNDS = 5
IGNORED = -100
PLAIN_DECOYS = "plain, the tokens of decoys"
BASELINES = {PLAIN_DECOYS: PLAIN_DECOYS, "ours, decoys": PLAIN_DECOYS}
"""Variants whose plain pass over the same tokens is not `plain`."""

Variant = Callable[[], None]
Term = tuple[torch.Tensor, torch.Tensor, bool]
"""Loss and divergence of an example, and whether it is in the forget set."""


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--large", action="store_true", help="add 1.3 B parameters, for a GPU")
    parser.add_argument("--memory", nargs=2, metavar=("MODEL", "VARIANT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    quiet()
    silence_transformers()
    if asked.memory:
        print(json.dumps(_peak_bytes(*asked.memory)))
        return
    models = ["demo", "wide", *(["large"] if asked.large else [])]
    parts = [f"# A step of erasing, measured\n\n{_machine()}\n"]
    for name in models:
        parts.append(_section(name, asked.rounds))
        print(parts[-1], flush=True)
    if asked.output:
        asked.output.write_text("\n".join(parts), encoding="utf-8")


def _section(name: str, rounds: int) -> str:
    step = _step(name)
    variants = step.variants()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    # Warm up: the first call also builds reference models and adapters.
    for run in variants.values():
        run()
    for _ in range(rounds):
        for variant, run in variants.items():
            seconds[variant].append(_timed(run))
    memory = {variant: _memory(name, variant) for variant in variants}
    medians = {variant: statistics.median(times) for variant, times in seconds.items()}
    rows = [
        {
            "variant": variant,
            "s per step": medians[variant],
            "x plain": medians[variant] / medians[BASELINES.get(variant, "plain")],
            "two models / ours": _ratio(seconds, variant, "two models"),
            "reference scheme / ours": _ratio(seconds, variant, "reference scheme"),
            "peak MiB": memory[variant] / 2**20,
            "x plain, peak": memory[variant] / memory[BASELINES.get(variant, "plain")],
        }
        for variant in variants
    ]
    table = tabulate(rows, headers="keys", tablefmt="github", floatfmt=".2f")
    return f"## {step.description}\n\n{table}\n"


def _ratio(seconds: dict[str, list[float]], variant: str, other: str) -> float | None:
    """Return the median ratio of another variant's times to those of one of ours."""
    if not variant.startswith("ours, codeeraser"):
        return None
    return statistics.median(
        theirs / ours for theirs, ours in zip(seconds[other], seconds[variant], strict=True)
    )


def _timed(run: Variant) -> float:
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _memory(model: str, variant: str) -> int:
    """Return the peak memory of a variant, in bytes, measured in a new process."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", model, variant],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return int(json.loads(done.stdout.splitlines()[-1]))


def _peak_bytes(model: str, variant: str) -> int:
    step = _step(model)
    run = step.variants()[variant]
    reset_peak_memory(step.clm.device)
    parameters = [p for p in step.clm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-6)
    for _ in range(2):
        run()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return peak_memory(step.clm.device) or 0


def _step(name: str) -> Step:
    manifests = demo_samples()
    forget, retained = manifests["samples"], manifests["retained"]
    if name == "demo":
        return Step(name, load_clm(str(demo_clm("qwen2"))), forget[:32], retained)
    return Step(name, _model(name), forget[: 8 if name == "wide" else 32], retained)


class Step:
    """The examples of one step, and the variants of computing its gradient."""

    def __init__(
        self,
        name: str,
        clm: Clm,
        forget: Sequence[SensitiveSample],
        retained: Sequence[SensitiveSample],
    ) -> None:
        rng = random.Random(0)
        self.clm = clm
        self.forget = forget_examples(self.clm, forget)[0]
        self.retained = retained_examples(self.clm, retained)
        self.kept = self.retained[: len(forget)]
        self.decoys = decoy_examples(self.clm, forget, self.forget, rng)
        rows = [*self.forget, *self.kept]
        config = self.clm.model.config
        self.description = (
            f"{name}: {self.clm.parameters / 1e6:,.1f} M parameters, width {config.hidden_size}, "
            f"vocabulary {config.vocab_size:,}, {len(rows)} rows of "
            f"{sum(len(r.ids) for r in rows):,} tokens (with those of decoys "
            f"{sum(len(r.ids) for part in self.read_by('decoys') for r in part):,})"
        )

    def read_by(
        self, method: str
    ) -> tuple[list[TokenizedExample], list[TokenizedExample], list[TokenizedExample]]:
        """Return what a step of a method reads: forget set, retained code and decoys."""
        how = METHODS[method]
        kept = self.retained[: len(self.kept) * how.retained_factor]
        rows = (self.forget, kept, self.decoys if how.uses_decoys else [])
        if not how.appends_eos:
            return rows
        return append_eos(self.clm, rows[0]), append_eos(self.clm, rows[1]), rows[2]

    def variants(self) -> dict[str, Variant]:
        """Return the variants; each computes gradients of the CLM's parameters."""
        return {
            "plain": lambda: self._plain([*self.forget, *self.kept]),
            PLAIN_DECOYS: lambda: self._plain(list(itertools.chain(*self.read_by("decoys")))),
            "ours, codeeraser": self._ours("codeeraser"),
            "ours, decoys": self._ours("decoys"),
            "ours, codeeraser, recomputed layers": self._ours("codeeraser", checkpointing=True),
            "two models": self._two_models(),
            "reference scheme": self._reference_scheme(),
            "ours, codeeraser by LoRA": self._ours("codeeraser", lora=True),
        }

    def _clear(self) -> None:
        for parameter in self.clm.model.parameters():
            parameter.grad = None

    def _plain(self, rows: Sequence[TokenizedExample]) -> None:
        """Fine-tune: cross-entropy of all tokens, in one forward and one backward pass."""
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

    def _ours(self, method: str, *, checkpointing: bool = False, lora: bool = False) -> Variant:
        made: list[Any] = []
        forget, kept, decoys = self.read_by(method)

        def run() -> None:
            if not made:
                clm = copy.copy(self.clm)
                if lora:
                    clm.model = copy.deepcopy(clm.model)
                trainable = TrainableModel(
                    clm, Lora() if lora else None,
                    precision="auto", checkpointing=checkpointing, seed=0,
                )  # fmt: skip
                reference = ReferenceModel(clm, trainable.head, trainable.autocast)
                with trainable.without_adapter():
                    reference.cache([*forget, *kept])
                made.extend((clm, trainable, reference))
            clm, trainable, reference = made
            if not lora:
                clm.model.requires_grad_(True)
            for parameter in trainable.parameters:
                parameter.grad = None
            output = forward_step(clm, reference, trainable, forget, kept, decoys)
            # What the stop rule observes.
            assert output.is_finite()
            output.accuracies()
            if decoys:
                output.more_likely_than_decoys()
            active = frozenset(n for row in forget for n in row.secrets)
            output.backward(METHODS[method].loss(output.groups(active), Weights()))

        return run

    def _two_models(self) -> Variant:
        """CodeEraser's terms from two models, each reading forget and retained code once."""

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

        return self._with_second_model(step)

    def _reference_scheme(self) -> Variant:
        """Separate passes for forget and retained code, padded to the longest; forget twice."""

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

        return self._with_second_model(step)

    def _with_second_model(self, step: Callable[[Any], list[Term]]) -> Variant:
        """Return a variant that passes a second model to its step."""
        original: list[Any] = []

        def run() -> None:
            if not original:
                original.append(copy.deepcopy(self.clm.model).requires_grad_(False))
            self.clm.model.requires_grad_(True)
            self._clear()
            _codeeraser_loss(step(original[0])).backward()

        return run

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


def _codeeraser_loss(terms: list[Term]) -> torch.Tensor:
    forget = [(loss, kl) for loss, kl, is_forget in terms if is_forget]
    kept = [kl for _, kl, is_forget in terms if not is_forget]
    loss = -torch.stack([loss for loss, _ in forget]).mean()
    return loss - 0.1 * torch.stack([kl for _, kl in forget]).mean() + 51 * torch.stack(kept).mean()


def _model(name: str) -> Clm:
    """Make a model of random weights, which cost the same as trained ones."""
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
    return Clm.from_model(model, demo.tokenizer, name=name)


def _machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    threads = torch.get_num_threads()
    return f"{device}, {threads} threads, {platform.machine()}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
