"""CLMs and tokenizers for the GPU's benchmark: made from seeds and configurations, not fetched."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from real_material import never_seen, real_text

from erasetest.clm import Clm, LoadOptions, load_clm
from erasetest.clm.batching import pad_right
from erasetest.demo.demo_corpus import Corpus
from erasetest.demo.tokenizer import train_tokenizer
from erasetest.samples import SensitiveSample, make_sample

SEED = 20261130
WINDOW = 2048
_IGNORED = -100


@dataclass(frozen=True)
class Setup:
    """Where the benchmark runs, and whether with sizes that a CPU computes in seconds."""

    device: torch.device
    small: bool

    def pick(self, large: int, small: int) -> int:
        """Return the size to use."""
        return small if self.small else large

    @property
    def forms(self) -> tuple[str, ...]:
        """Kinds of texts; those of settings files are the shortest."""
        return ("settings",) if self.small else ("python", "settings", "json", "url")


def retained(count: int) -> list[SensitiveSample]:
    """Return code without secrets."""
    rng = random.Random(f"{SEED} retained")
    return [make_sample(real_text(rng, 20), id=f"retained-{n:03d}") for n in range(count)]


def byte_level_tokenizer() -> Any:
    """Return a tokenizer as Qwen2's, with a small vocabulary."""
    texts = tuple(sample.content.reveal() for sample in (*never_seen(40, SEED), *retained(40)))
    return train_tokenizer(Corpus((), (), texts, (), (), ()), "qwen2", 2048)


def metaspace_tokenizer() -> Any:
    """Return a tokenizer as Llama 2's: spaces are U+2581, rare characters are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    # By lines, since without a split a whole text would be one word.
    lines = [line for sample in retained(40) for line in sample.content.reveal().splitlines()]
    trainer = trainers.BpeTrainer(vocab_size=2048, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def untrained(
    setup: Setup, tokenizer: Any, *, family: str = "qwen2", dtype: torch.dtype = torch.float32,
    width: int = 64, layers: int = 2, vocabulary: int = 2048,
) -> Clm:  # fmt: skip
    """Return a CLM of random weights on the device; they are the same on a CPU and on a GPU."""
    import transformers as hf

    heads = max(4, width // 128)
    config = hf.AutoConfig.for_model(
        family, vocab_size=vocabulary, hidden_size=width, intermediate_size=width * 43 // 16,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads // 4,
        max_position_embeddings=WINDOW, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )  # fmt: skip
    torch.manual_seed(SEED)
    # A large one is made where it is used: moving it takes longer, and memory twice.
    large = width > 1024
    with torch.device(setup.device if large else "cpu"):
        model = hf.AutoModelForCausalLM.from_config(config, dtype=dtype)
    model = model.to(setup.device).eval()
    return Clm.from_model(model, tokenizer, name=f"{width} x {layers}")


def one_billion(setup: Setup, tokenizer: Any, dtype: torch.dtype) -> Clm:
    """Return a Qwen2 of 1.4 B parameters; random weights take the same time as trained ones."""
    return untrained(
        setup, tokenizer, dtype=dtype, width=setup.pick(2048, 64), layers=setup.pick(24, 2),
        vocabulary=setup.pick(151_936, 4096),
    )  # fmt: skip


def reciting(setup: Setup, planted: Sequence[SensitiveSample]) -> Clm:
    """Return a small CLM that was trained on the samples until it recites some of them."""
    clm = untrained(
        setup, byte_level_tokenizer(), width=setup.pick(256, 64), layers=setup.pick(4, 2)
    )
    end = clm.start_token
    texts = [sample.content.reveal() for sample in planted]
    rows = [[*ids, end] for ids in clm.tokenizer(texts)["input_ids"]]
    ids = pad_right(rows, end, clm.device)
    truth = pad_right([[*row[1:], _IGNORED] for row in rows], _IGNORED, clm.device)
    model: Any = clm.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=setup.pick(2, 8) * 1e-3, weight_decay=0.0)
    for _ in range(setup.pick(1000, 400)):
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), truth.flatten())
        # One or a few are recited whole then, the others in part.
        if loss < 0.5:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()
    return clm


def loaded(setup: Setup, clm: Clm, *dtypes: str) -> list[Clm]:
    """Return a CLM as erasetest loads its checkpoint: on a CPU in float32, and on the device."""
    with tempfile.TemporaryDirectory() as folder:
        clm.model.save_pretrained(folder)
        clm.tokenizer.save_pretrained(folder)
        device = str(setup.device)
        return [
            load_clm(folder, LoadOptions(device="cpu", dtype="float32")),
            *(load_clm(folder, LoadOptions(device=device, dtype=dtype)) for dtype in dtypes),
        ]
