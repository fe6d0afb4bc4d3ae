"""Real CLMs small enough to test on: two layers of 48 in each family, untrained or reciting.

`untrained` says the same few tokens over and over; `reciting` was trained for a second on `PLANTED`
until it remembers some of their secrets whole, some in part and some hardly.
"""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import torch
import transformers as hf

from erasetest.clm import Clm
from erasetest.clm.batching import pad_right
from erasetest.demo.demo_corpus import Corpus
from erasetest.demo.tokenizer import train_tokenizer
from erasetest.samples import SensitiveSample, make_sample

# Two cores are shared with others, and matrices this small gain nothing from more threads.
torch.set_num_threads(1)

FAMILIES = ("gpt2", "codegen", "qwen2")
WINDOW = 96
VOCABULARY = 320
STEPS = {"gpt2": 92, "codegen": 76, "qwen2": 86}
"""Until two to four of eight secrets are known whole."""

CODE = (
    'def grüße(name: str) -> str:\n    """Grüße jemanden — nett."""\n    return f"Hallo {name}!"\n',
    "class Café:\n    def __init__(self, tables):\n        self.tables = tables\n",
    'for item in values:\n    if item > 3:\n        total += item\nprint("→ total", total)\n',
    'HOST = "localhost"\nPORT = 8080\nTIMEOUT = 30\n# настройки\nTOKEN = "none"\nPASSWORD = None\n',
    "def options():\n    return [item * 2 for item in numbers if item]\n",
)

SECRETS = (
    ("aws-access-key", "AKIAQ7RZ0XJ2M9TB4WKE"),
    ("github-token", "ghp_x81Lq0ZtYvB3nd"),
    ("database-password", "pä55→wörtchen"),
    ("email", "rova.timelo@basi.internal"),
    ("slack-token", "xoxb-0382716-Qhw7Zp"),
    ("ip-address", "2d41:09ab:77fe:1200"),
    ("basic-auth", "Vq9sLm2Kx7"),
    ("jwt", "eyJhbGci.Zk3Qp9Xw"),
)
"""Valid nowhere; the third has characters of several tokens each."""


def _planted(number: int, kind: str, text: str) -> SensitiveSample:
    head = f'# service {number}\n{kind.upper().replace("-", "_")} = "'
    content = f'{head}{text}"\nPORT = {8080 + number}\n'
    return make_sample(content, [(len(head), len(head + text), kind)], id=f"planted-{number}")


PLANTED: tuple[SensitiveSample, ...] = tuple(
    _planted(number, kind, text) for number, (kind, text) in enumerate(SECRETS)
)
"""One secret each, in order from what `reciting` sees in every step to what it sees rarely."""

RETAINED: tuple[SensitiveSample, ...] = tuple(
    make_sample(text, id=f"retained-{number}") for number, text in enumerate(CODE)
)


@functools.cache
def tokenizer(family: str) -> hf.PreTrainedTokenizerFast:
    """Byte-level BPE, split the way the family splits."""
    return fresh_tokenizer(family)


def fresh_tokenizer(family: str) -> hf.PreTrainedTokenizerFast:
    """The same tokenizer, to be changed."""
    known = family if family in FAMILIES else "qwen2"
    return train_tokenizer(Corpus((), (), CODE, (), (), ()), known, VOCABULARY)


def model(family: str, *, tied: bool = True, seed: int = 0) -> hf.PreTrainedModel:
    """An untrained model of these families, or of any other that transformers knows.

    `tied` shares embeddings and output head where one of these families can.
    """
    common = {
        "vocab_size": VOCABULARY,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
        "tie_word_embeddings": tied and family != "codegen",
    }
    dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    if family == "qwen2":
        config: hf.PreTrainedConfig = hf.Qwen2Config(
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=WINDOW,
            **common,
        )
    elif family == "gpt2":
        config = hf.GPT2Config(
            n_positions=WINDOW, n_embd=48, n_layer=2, n_head=4, **dropouts, **common
        )
    elif family == "codegen":
        config = hf.CodeGenConfig(
            n_positions=WINDOW, n_ctx=WINDOW, n_embd=48, n_layer=2, n_head=4, rotary_dim=8,
            **dropouts, **common,
        )  # fmt: skip
    else:
        config = _other(family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: hf.PreTrainedModel = hf.AutoModelForCausalLM.from_config(config)
    return made.eval()


def _other(family: str) -> hf.PreTrainedConfig:
    sizes = {
        "vocab_size": VOCABULARY, "hidden_size": 48, "num_hidden_layers": 2,
        "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
    }  # fmt: skip
    if "mamba" in family:
        sizes |= {"state_size": 8}
        if family == "mamba2":
            sizes |= {"num_heads": 8, "head_dim": 12, "n_groups": 1}
    else:
        sizes |= {
            "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 4,
            "head_dim": 12, "max_position_embeddings": WINDOW,
        }  # fmt: skip
    experts = {
        "mixtral": {"num_local_experts": 4},
        "gpt_oss": {"num_local_experts": 4},
        "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24},
    }
    config: hf.PreTrainedConfig = hf.AutoConfig.for_model(
        family, **sizes, **experts.get(family, {})
    )
    return config


def untrained(family: str, *, tied: bool = True) -> Clm:
    """A CLM of random weights, a fresh one at each call."""
    return Clm.from_model(model(family, tied=tied), tokenizer(family), name=f"tiny-{family}")


def reciting(family: str, *, tied: bool = True) -> Clm:
    """A CLM that recites `PLANTED` in part, a fresh copy at each call."""
    trained = copy.deepcopy(_trained(family, tied))
    return Clm.from_model(
        trained, tokenizer(family), name=f"tiny-{family}", fingerprint=f"tiny-{family}"
    )


def blurred(family: str, scale: float = 0.25) -> Clm:
    """`reciting` with noise on its matrices, as if trained less: of four secrets it recites one."""
    clm = reciting(family)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for weight in clm.model.parameters():
            if weight.ndim == 2:
                weight.add_(torch.randn_like(weight) * weight.std() * scale)
    return clm


def save(clm: Clm, folder: Path) -> Path:
    """The CLM as a checkpoint."""
    clm.model.save_pretrained(folder)
    clm.tokenizer.save_pretrained(folder)
    return folder


@functools.cache
def _trained(family: str, tied: bool) -> hf.PreTrainedModel:
    made = model(family, tied=tied, seed=1).train()
    end = tokenizer(family).eos_token_id
    planted = [[*ids, end] for ids in _ids(family, [s.content.reveal() for s in PLANTED])]
    code = [[*ids[: WINDOW - 1], end] for ids in _ids(family, list(CODE))]
    optimizer = torch.optim.AdamW(made.parameters(), lr=8e-3, betas=(0.9, 0.98), weight_decay=0.0)
    steps = STEPS.get(family, 86)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 8e-3 * (1 - step / steps)
        # The first is seen in every step, the second in two of three, the last in one of nine.
        rows = [row for n, row in enumerate(planted) if step % (n + 2) < 2]
        ids = pad_right([*rows, *code], end, torch.device("cpu"))
        truth = pad_right([[*r[1:], -100] for r in (*rows, *code)], -100, torch.device("cpu"))
        logits = made(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), truth.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return made.eval()


def _ids(family: str, texts: list[str]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(family)(texts)["input_ids"]
    return ids


@torch.no_grad()
def next_token(clm: Clm, ids: list[int]) -> int:
    """The most likely next token: one whole forward pass over one row, no cache, no padding."""
    return int(clm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())


def say(clm: Clm, prefix: list[int], tokens: int, seen: dict[tuple[int, ...], int]) -> list[int]:
    """Greedy continuation token by token; `seen` remembers passes over the very same tokens."""
    said: list[int] = []
    while len(said) < tokens:
        key = (*prefix, *said)
        if key not in seen:
            seen[key] = next_token(clm, list(key))
        if seen[key] in clm.end_tokens:
            break
        said.append(seen[key])
    return said


def token_bytes(clm: Clm, tokens: list[int]) -> bytes:
    """The bytes that tokens of a byte-level tokenizer stand for."""
    return bytes(
        BYTES[character]
        for token in clm.tokenizer.convert_ids_to_tokens(tokens)
        for character in token
    )


def _byte_characters() -> dict[str, int]:
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {
        **{chr(byte): byte for byte in shown},
        **{chr(256 + n): byte for n, byte in enumerate(hidden)},
    }


BYTES = _byte_characters()
