"""Load the tokenizer of a checkpoint, and make it encode as the checkpoint's own file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erasetest.clm.load_options import LoadOptions
from erasetest.clm.refusals import remote_code
from erasetest.errors import ClmError, ClmWarning, one_line

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

TOKENIZER_JSON = "tokenizer.json"
_CONFIGURATION = "tokenizer_config.json"
_TOKENIZER_FILES = (TOKENIZER_JSON, _CONFIGURATION, "vocab.json", "tokenizer.model")

_OBEY_FLAGS = ("LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer")
"""Classes that obey `add_bos_token` and `add_eos_token` of the configuration in transformers 4,
whatever `tokenizer.json` has. Others ignored the flags."""

_TEXTS = (
    "def f(x0):\n    return {'host': '192.168.100.27', \"id\": 0x1F4e}  # 1234567890\n",
    "\t\tif user.isAdmin and not HTTPServerV2:\r\n\r\n\n\n    pass   \n",
    "AKIA0JQ7RZ2XM9TB4WKE ghp_x81Lq0ZtYvB3nd postgres://u:p%40ss@db.internal:5432/a?b=c&d",
    "  we're  I'll THEY'D don't   \"\"\"...!!!???$$$ == != <= >= -> => ::",
    "Grüße, e\u0301te\u0301, naïve \uff26\uff55\uff4c\uff4c \ufb01ne İstanbul ДОБРО привет",
    "你好世界 こんにちは 한국어 🙂 \U0001f3f3\ufe0f\u200d\U0001f308",
    "a\u00a0b\u3000c\u2009d\ufefe\u00ade\u200b ½ ² ③ Ⅷ १२३ ٣٤٥",
    " leading",
    "trailing ",
)
"""Texts that the splits and normalizers of known tokenizers treat differently: runs of digits, of
white space and of punctuation, changes of case, contractions, accents, scripts, widths."""


def load_tokenizer(name: str, folder: Path, options: LoadOptions) -> PreTrainedTokenizerBase:
    """Load the fast tokenizer of a checkpoint.

    transformers rebuilds the tokenizers of some families with the splits of the family, without a
    warning if `tokenizer.json` has others. The CLM was trained on what the file encodes,
    so the file is used wherever the two differ.

    Raises:
        ClmError: it is missing, cannot be loaded, or does not encode as its file.
    """
    from transformers import AutoTokenizer

    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        raise ClmError(f"{name}: has no tokenizer: save it beside the model with save_pretrained")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=options.trust_remote_code
        )
    except Exception as error:
        # A broken file can raise anything here, down to a bare Exception from Rust.
        if "trust_remote_code" in str(error):
            raise remote_code(name) from None
        raise ClmError(f"{name}: the tokenizer cannot be loaded ({one_line(error)})") from None
    if not tokenizer.is_fast:
        raise ClmError(
            f"{name}: {type(tokenizer).__name__} returns no offsets: a fast tokenizer "
            "(tokenizer.json) is needed to find a secret's tokens"
        )
    tokenizer = _as_its_file(name, folder, tokenizer)
    if not tokenizer("code", add_special_tokens=False)["input_ids"]:
        raise ClmError(
            f"{name}: the tokenizer has no vocabulary: tokenizer.json is missing or empty"
        )
    _obey_configuration(name, folder, tokenizer)
    include_white_space_in_offsets(tokenizer)
    return tokenizer


def _as_its_file(
    name: str, folder: Path, loaded: PreTrainedTokenizerBase
) -> PreTrainedTokenizerBase:
    """Return the tokenizer if it encodes as `tokenizer.json` does, else one made of that file."""
    path = folder / TOKENIZER_JSON
    if not path.is_file():
        return loaded
    from tokenizers import Tokenizer

    try:
        file = Tokenizer.from_file(str(path))
    except Exception as error:
        # The library raises bare Exceptions.
        raise ClmError(f"{name}: {TOKENIZER_JSON} cannot be read ({one_line(error)})") from None
    file.no_truncation()
    file.no_padding()
    asked = _asked_in_its_configuration(folder)
    if _first_difference(loaded, file, with_ends=not asked) is None:
        return loaded
    rebuilt = _of_file(loaded, file, **asked)
    left = _first_difference(rebuilt, file, with_ends=not asked)
    if left is not None:
        raise ClmError(
            f"{name}: transformers encodes {left} otherwise than {TOKENIZER_JSON} does, and cannot "
            "be made to: save the tokenizer again with the version of transformers used here"
        )
    warnings.warn(
        f"{name}: transformers would encode text otherwise than {TOKENIZER_JSON}, which the CLM "
        f"was trained with (as a {type(loaded).__name__}): the file is used",
        ClmWarning,
        stacklevel=2,
    )
    return rebuilt


def _of_file(
    tokenizer: PreTrainedTokenizerBase, file: Tokenizer, **flags: bool
) -> PreTrainedTokenizerBase:
    """Return a tokenizer of no particular family, with the special tokens of another.

    Args:
        tokenizer: has the special tokens.
        file: encodes and decodes.
        flags: `add_bos_token` and `add_eos_token`, to override those of the file.
    """
    from transformers import PreTrainedTokenizerFast

    named = {
        key: value for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str)
    }
    made: PreTrainedTokenizerBase = PreTrainedTokenizerFast(
        tokenizer_object=file,
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=False,
        **named,
        **flags,
    )
    return made


def _asked_in_its_configuration(folder: Path) -> dict[str, bool]:
    """Return whether `tokenizer_config.json` itself asks for tokens at the ends of a text."""
    given = _configuration(folder)
    flags = ("add_bos_token", "add_eos_token")
    return {flag: given[flag] for flag in flags if isinstance(given.get(flag), bool)}


def _configuration(folder: Path) -> dict[str, Any]:
    """Return the content of `tokenizer_config.json`; empty if it cannot be read."""
    try:
        given = json.loads((folder / _CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return given if isinstance(given, dict) else {}


def _obey_configuration(name: str, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Add the tokens at the ends of a text that the configuration asks for, and no others.

    transformers 5 ignores these flags beside a `tokenizer.json`. DeepSeek V3 depends on them: its
    file adds no token, and its CLM was trained on texts with one.
    """
    made_by = str(_configuration(folder).get("tokenizer_class")).removesuffix("Fast")
    if made_by not in _OBEY_FLAGS:
        return
    first, *_, last = tokenizer("code", verbose=False)["input_ids"] * 2
    ends = {
        "add_bos_token": (tokenizer.bos_token_id, first),
        "add_eos_token": (tokenizer.eos_token_id, last),
    }
    present = {flag: token == found for flag, (token, found) in ends.items()}
    asked = {
        flag: wanted
        for flag, wanted in _asked_in_its_configuration(folder).items()
        if ends[flag][0] is not None and wanted != present[flag]
    }
    if asked:
        # Each assignment builds the post-processor anew, from both.
        for flag, wanted in (present | asked).items():
            setattr(tokenizer, flag, wanted)
        warnings.warn(
            f"{name}: transformers would ignore {' and '.join(asked)} of {_CONFIGURATION}, which "
            "the CLM was trained with: the configuration is obeyed",
            ClmWarning,
            stacklevel=2,
        )


def _first_difference(
    tokenizer: PreTrainedTokenizerBase, file: Tokenizer, *, with_ends: bool
) -> str | None:
    """Return what a tokenizer encodes otherwise than the file; None if nothing.

    Args:
        tokenizer: as transformers loaded it.
        file: made of the file.
        with_ends: compare the tokens at the ends of a text too.
    """
    added = [token.content for token in file.get_added_tokens_decoder().values()]
    texts = [*_TEXTS, " ".join(added), "".join(f"x{content}" for content in added)]
    names = [*("a fixed text",) * len(_TEXTS), *("its added tokens",) * 2]
    for ends in (False, True) if with_ends else (False,):
        ids: Any = tokenizer(texts, add_special_tokens=ends, verbose=False)["input_ids"]
        expected = file.encode_batch(texts, add_special_tokens=ends)
        for what, found, wanted in zip(names, ids, expected, strict=True):
            if list(found) != wanted.ids:
                return "the ends of a text" if ends else what
    return None


def include_white_space_in_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make offsets include the white space of a token, which a post-processor can trim."""
    from tokenizers import processors

    post = tokenizer.backend_tokenizer.post_processor
    parts: Any = post if isinstance(post, processors.Sequence) else [post]
    for part in parts:
        if getattr(part, "trim_offsets", False):
            part.trim_offsets = False
    tokenizer.backend_tokenizer.post_processor = post
