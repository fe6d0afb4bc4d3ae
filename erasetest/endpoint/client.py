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
from urllib.parse import urlunsplit

from erasetest.endpoint.url import split_endpoint
from erasetest.errors import ClmError
from erasetest.support.extras import require

if TYPE_CHECKING:
    import httpx

KEY = "ERASETEST_API_KEY"
"""The environment variable that holds the key; never an option, which shells and CI would show."""

_CANARY = "def main(arguments):\n"
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0
_APART = 1_000_003
"""Between the seeds of samples that are asked for one by one."""


class RefusedRequest(ClmError):
    """The server answers, and will not do what this request asks for: 4xx."""


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
        require("httpx", "endpoint", "a CLM behind a URL")
        import httpx

        parts = split_endpoint(self.name)
        self._base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        key = os.environ.get(KEY, "").strip()
        if not key.isascii() or not key.isprintable():
            raise ClmError(f"{KEY}: holds characters that no key has")
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
            "temperature": temperature, "top_p": 1.0,
        }  # fmt: skip
        if seed is not None:
            asked["seed"] = seed
        texts = [choice.get("text") for choice in self._choices(asked)]
        if len(texts) == 1 < samples:
            # A server that gives one text whatever n: ask for each by itself.
            for number in range(1, samples):
                alone = {**asked, "n": 1, "seed": (seed or 0) * _APART + number}
                texts += [choice.get("text") for choice in self._choices(alone)]
        if len(texts) != samples or not all(isinstance(text, str) for text in texts):
            raise ClmError(f"{self._base}: answers with {len(texts)} texts, expected {samples}")
        return [Completion(str(text)) for text in texts]

    def read(self, text: str) -> Completion | None:
        """A text scored as it stands; None where the server does not echo prompts with scores."""
        if not self._echoes:
            return None
        asked = {
            "model": self.model, "prompt": text, "max_tokens": 1, "echo": True, "logprobs": 1,
            "temperature": 0.0,
        }  # fmt: skip
        try:
            found = _scored(self._choices(asked)[0])
        except RefusedRequest:
            found = None
        if found is None or not found.text.startswith(text):
            # Once for all: a server that is only busy has been waited for, or was an error.
            self._echoes = False
            return None
        return found

    def _choices(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        choices = self._ask("POST", "/completions", asked).get("choices")
        whole = isinstance(choices, list) and choices and all(isinstance(c, dict) for c in choices)
        if not whole:
            raise ClmError(f"{self._base}: answers without a list of choices")
        found: list[dict[str, Any]] = choices  # type: ignore[assignment]
        return found

    def _only_model(self) -> str:
        found = self._ask("GET", "/models").get("data")
        models = found if isinstance(found, list) else []
        names = [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]
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
                time.sleep(self._wait(number))
            self.requests += 1
            reason = ""
            try:
                answer = self._client.request(method, self._base + path, json=asked)
            except httpx.TimeoutException:
                reason = f"gives no answer within {self.options.timeout:g} s"
                continue
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # Its own message may hold the request; its kind says enough.
                reason = f"cannot be reached ({type(error).__name__})"
                continue
            if answer.status_code in _AGAIN:
                reason = f"answers {answer.status_code}"
                self._asked_to_wait = answer.headers.get("retry-after")
                continue
            if answer.status_code >= 400:
                if answer.status_code in (401, 403):
                    raise ClmError(f"{self._base}: answers {answer.status_code}: set {KEY}")
                kind = ClmError if answer.status_code in (404, 405) else RefusedRequest
                raise kind(f"{self._base}: answers {answer.status_code}")
            return _object(self._base, answer)
        raise ClmError(f"{self._base}: {reason}, {self.options.tries} times")

    _asked_to_wait: str | None = None
    _echoes: bool = True

    def _wait(self, number: int) -> float:
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


def _scored(choice: dict[str, Any]) -> Completion | None:
    """A choice with its scores; None where it has none, or not of the known form."""
    text, scores = choice.get("text"), choice.get("logprobs")
    if not isinstance(text, str) or not isinstance(scores, dict):
        return None
    columns = [scores.get(name) for name in ("tokens", "text_offset", "token_logprobs")]
    best = scores.get("top_logprobs") or []
    if not all(isinstance(column, list) for column in (*columns, best)):
        return None
    tokens, offsets, log_probs = (list(column or ()) for column in columns)
    if not len(tokens) == len(offsets) == len(log_probs):
        return None
    numbers = all(isinstance(value, int | float | None) for value in (*offsets, *log_probs))
    places = all(isinstance(place, dict | None) for place in best)
    if not numbers or not places:
        return None
    return Completion(text, tokens, offsets, log_probs, [_most_likely(place) for place in best])


def _most_likely(place: dict[str, float] | None) -> str | None:
    return max(place, key=lambda token: place[token]) if place else None
