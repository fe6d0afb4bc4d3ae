"""The client: one request at a time is never lost, and a server that is busy is waited for."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import hashlib
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from erasetest.errors import ClmError, MissingExtra

if TYPE_CHECKING:
    import httpx

KEY = "ERASETEST_API_KEY"
"""The environment variable that holds the key; never an option, which shells and CI would show."""

_CANARY = "def main(arguments):\n"
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """How a server is asked: seconds for one answer, tries of one request, samples of a secret."""

    timeout: float = 60.0
    tries: int = 6
    samples: int = 20
    batch: int = 20
    """Samples in one request at most."""


@dataclass(frozen=True, slots=True, repr=False)
class Completion:
    """A text, and the log-probabilities of its tokens where the server gives them.

    `offsets` are the characters at which tokens begin, counted from the start of the prompt where
    the prompt was echoed; `best` the most likely token at each place.
    """

    text: str
    tokens: Sequence[str] = ()
    offsets: Sequence[int] = ()
    log_probs: Sequence[float | None] = ()
    best: Sequence[str | None] = ()


@dataclass(eq=False)
class Endpoint:
    """A completions endpoint: `http://host:port/v1`, or `…/v1#model` where it serves several.

    Raises:
        ClmError: it cannot be reached or refuses, in a line that shows neither prompt nor key.
    """

    name: str
    options: EndpointOptions = field(default_factory=EndpointOptions)
    requests: int = 0

    def __post_init__(self) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "endpoint", "a CLM behind a URL") from None
        parts = urlsplit(self.name)
        if parts.username or parts.password:
            raise ClmError(f"a key does not belong into the URL of a CLM: set {KEY}")
        self._base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        key = os.environ.get(KEY)
        self._client = httpx.Client(
            timeout=self.options.timeout,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._pause = random.Random()
        self.model = parts.fragment or self._only_model()

    def close(self) -> None:
        """Give its connections back."""
        self._client.close()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Its model's name and what it says to a fixed prompt: another CLM hardly says the same."""
        said = self.complete(_CANARY, tokens=48)[0].text
        return hashlib.blake2b(f"{self.model}\0{said}".encode(), digest_size=16).hexdigest()

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        return {
            "name": self.name,
            "family": "endpoint",
            "fingerprint": self.fingerprint,
            "model": self.model,
        }

    def complete(
        self, prompt: str, *, samples: int = 1, tokens: int = 16, temperature: float = 0.0,
        seed: int | None = None,
    ) -> list[Completion]:  # fmt: skip
        """`samples` continuations of a prompt, of at most so many tokens."""
        asked: dict[str, Any] = {
            "model": self.model, "prompt": prompt, "n": samples, "max_tokens": tokens,
            "temperature": temperature,
        }  # fmt: skip
        if seed is not None:
            asked["seed"] = seed
        choices = self._ask("POST", "/completions", asked).get("choices")
        texts = [c.get("text") for c in choices] if isinstance(choices, list) else []
        if len(texts) != samples or not all(isinstance(text, str) for text in texts):
            raise ClmError(f"{self._base}: answers with {len(texts)} texts, expected {samples}")
        return [Completion(text) for text in texts]

    def read(self, text: str) -> Completion | None:
        """A text scored as it stands; None where the server does not echo prompts with scores."""
        asked = {
            "model": self.model, "prompt": text, "max_tokens": 1, "echo": True, "logprobs": 1,
            "temperature": 0.0,
        }  # fmt: skip
        try:
            choice = self._ask("POST", "/completions", asked)["choices"][0]
            scores = choice["logprobs"]
            found = Completion(
                choice["text"],
                scores["tokens"],
                scores["text_offset"],
                scores["token_logprobs"],
                [_most_likely(place) for place in scores.get("top_logprobs") or []],
            )
        except (ClmError, KeyError, IndexError, TypeError):
            return None
        whole = len(found.tokens) == len(found.offsets) == len(found.log_probs)
        return found if whole and found.text.startswith(text) else None

    def _only_model(self) -> str:
        found = self._ask("GET", "/models").get("data")
        names = [str(model.get("id")) for model in found] if isinstance(found, list) else []
        if len(names) != 1:
            listed = ", ".join(names[:5]) or "none"
            raise ClmError(
                f"{self._base}: serves {len(names)} models ({listed}): "
                f"name one as {self._base}#MODEL"
            )
        return names[0]

    def _ask(self, method: str, path: str, asked: dict[str, Any] | None = None) -> dict[str, Any]:
        import httpx

        reason = ""
        for number in range(self.options.tries):
            if number:
                time.sleep(self._wait(number, reason))
            self.requests += 1
            reason = ""
            try:
                answer = self._client.request(method, self._base + path, json=asked)
            except httpx.TimeoutException:
                reason = f"gives no answer within {self.options.timeout:g} s"
                continue
            except httpx.TransportError as error:
                # Its own message may hold the request; its kind says enough.
                reason = f"cannot be reached ({type(error).__name__})"
                continue
            if answer.status_code in _AGAIN:
                reason = f"answers {answer.status_code}"
                self._asked_to_wait = answer.headers.get("retry-after")
                continue
            if answer.status_code >= 400:
                hint = f": set {KEY}" if answer.status_code in (401, 403) else ""
                raise ClmError(f"{self._base}: answers {answer.status_code}{hint}")
            return _object(self._base, answer)
        raise ClmError(f"{self._base}: {reason}, {self.options.tries} times")

    _asked_to_wait: str | None = None

    def _wait(self, number: int, reason: str) -> float:
        """Seconds: what the server asks for, else twice as long each time, give or take."""
        asked, self._asked_to_wait = self._asked_to_wait, None
        if asked is not None:
            with contextlib.suppress(ValueError):
                return min(_LONGEST_PAUSE, max(0.0, float(asked)))
            with contextlib.suppress(ValueError, TypeError):
                until = email.utils.parsedate_to_datetime(asked).timestamp()
                return min(_LONGEST_PAUSE, max(0.0, until - time.time()))
        return min(_LONGEST_PAUSE, 0.25 * 2.0 ** (number - 1)) * self._pause.uniform(0.75, 1.25)


def _object(base: str, answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        raise ClmError(f"{base}: answers with something that is not JSON") from None
    if not isinstance(found, dict):
        raise ClmError(f"{base}: answers with a {type(found).__name__}, expected an object")
    return found


def _most_likely(place: dict[str, float] | None) -> str | None:
    return max(place, key=lambda token: place[token]) if place else None
