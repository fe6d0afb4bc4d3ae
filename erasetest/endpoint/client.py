"""Client of a completions endpoint: sequential requests with retries and back-off."""

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
"""Environment variable with the API key. Not an option, which shells and CI logs would show."""

_FINGERPRINT_PROMPT = "def main(arguments):\n"

_RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of a server that is busy or temporarily unavailable."""

_MAX_PAUSE = 60.0
"""Maximum number of seconds between two tries, even if the server asks for more."""

_SEED_STRIDE = 1_000_003
"""Distance of the seeds of requests, so that single samples of two requests share no seed."""


class RefusedRequest(ClmError):
    """The server refuses this request (status 4xx)."""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """How requests are sent."""

    timeout: float = 60.0
    """Seconds to wait for an answer."""
    tries: int = 6
    """Number of tries of a request."""
    samples: int = 20
    """Number of samples per secret."""
    batch: int = 20
    """Maximum number of samples per request."""


@dataclass(frozen=True, slots=True, repr=False)
class Completion:
    """A text, with the scores of its tokens if the server returns them."""

    text: str
    tokens: Sequence[str] = ()
    offsets: Sequence[int] = ()
    """Character at which each token begins, counted from the start of an echoed prompt."""
    log_probs: Sequence[float | None] = ()
    """Natural log-probability of each token."""
    best: Sequence[str | None] = ()
    """Most likely token at each place."""


@dataclass(eq=False)
class Endpoint:
    """A completions endpoint: `http://host:port/v1`, or `…/v1#model` if it serves several models.

    Raises:
        ClmError: it cannot be reached or refuses; the message contains neither prompt nor key.
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
            raise ClmError(f"{KEY}: contains characters that are not printable ASCII")
        self._client = httpx.Client(
            timeout=self.options.timeout,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._random = random.Random()
        self.model = parts.fragment or self._only_model()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the model's name and its greedy completion of a fixed prompt.

        Another CLM under the same name hardly writes the same completion.
        """
        text = self.complete(_FINGERPRINT_PROMPT, tokens=48)[0].text
        return hashlib.blake2b(f"{self.model}\0{text}".encode(), digest_size=16).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return the entry of a report about this endpoint."""
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
        """Return `samples` completions of a prompt, of at most `tokens` tokens."""
        request: dict[str, Any] = {
            "model": self.model, "prompt": prompt, "n": samples, "max_tokens": tokens,
            "temperature": temperature, "top_p": 1.0,
        }  # fmt: skip
        if seed is not None:
            request["seed"] = seed
        texts = [choice.get("text") for choice in self._choices(request)]
        if len(texts) == 1 < samples:
            # Some servers ignore `n`, so each further sample needs a request.
            for number in range(1, samples):
                alone = {**request, "n": 1, "seed": (seed or 0) * _SEED_STRIDE + number}
                texts += [choice.get("text") for choice in self._choices(alone)]
        if len(texts) != samples or not all(isinstance(text, str) for text in texts):
            raise ClmError(f"{self._base}: answers with {len(texts)} texts, expected {samples}")
        return [Completion(str(text)) for text in texts]

    def read(self, text: str) -> Completion | None:
        """Return a text with its scores; None if the server does not echo prompts with scores."""
        if not self._echoes:
            return None
        request = {
            "model": self.model, "prompt": text, "max_tokens": 1, "echo": True, "logprobs": 1,
            "temperature": 0.0,
        }  # fmt: skip
        try:
            found = _scored(self._choices(request)[0])
        except RefusedRequest:
            found = None
        if found is None or not found.text.startswith(text):
            # Not tried again: `_send` has already retried a server that was only busy.
            self._echoes = False
            return None
        return found

    def _choices(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        choices = self._send("POST", "/completions", request).get("choices")
        valid = isinstance(choices, list) and choices and all(isinstance(c, dict) for c in choices)
        if not valid:
            raise ClmError(f"{self._base}: answers without a list of choices")
        found: list[dict[str, Any]] = choices  # type: ignore[assignment]
        return found

    def _only_model(self) -> str:
        found = self._send("GET", "/models").get("data")
        models = found if isinstance(found, list) else []
        names = [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]
        if len(names) != 1:
            listed = ", ".join(names[:5]) or "none"
            raise ClmError(
                f"{self._base}: serves {len(names)} models ({listed}): "
                f"name one as {self._base}#MODEL"
            )
        return names[0]

    def _send(
        self, method: str, path: str, request: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a request, again after a pause if the server is busy; return the JSON object."""
        import httpx

        reason = ""
        for number in range(self.options.tries):
            if number:
                time.sleep(self._pause_before(number))
            self.requests += 1
            reason = ""
            try:
                answer = self._client.request(method, self._base + path, json=request)
            except httpx.TimeoutException:
                reason = f"gives no answer within {self.options.timeout:g} s"
                continue
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # The message of the error may contain the prompt, so only its type is shown.
                reason = f"cannot be reached ({type(error).__name__})"
                continue
            if answer.status_code in _RETRIED_STATUSES:
                reason = f"answers {answer.status_code}"
                self._retry_after = answer.headers.get("retry-after")
                continue
            if answer.status_code >= 400:
                if answer.status_code in (401, 403):
                    raise ClmError(f"{self._base}: answers {answer.status_code}: set {KEY}")
                kind = ClmError if answer.status_code in (404, 405) else RefusedRequest
                raise kind(f"{self._base}: answers {answer.status_code}")
            return _json_object(self._base, answer)
        raise ClmError(f"{self._base}: {reason}, {self.options.tries} times")

    _retry_after: str | None = None
    _echoes: bool = True

    def _pause_before(self, number: int) -> float:
        """Return the seconds to wait before a try: `Retry-After`, else exponential back-off."""
        retry_after, self._retry_after = self._retry_after, None
        if retry_after is not None:
            with contextlib.suppress(ValueError):
                return min(_MAX_PAUSE, max(0.0, float(retry_after)))
            with contextlib.suppress(ValueError, TypeError):
                until = email.utils.parsedate_to_datetime(retry_after).timestamp()
                return min(_MAX_PAUSE, max(0.0, until - time.time()))
        return min(_MAX_PAUSE, 0.25 * 2.0 ** (number - 1)) * self._random.uniform(0.75, 1.25)


def _json_object(base: str, answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        raise ClmError(f"{base}: answers with something that is not JSON") from None
    if not isinstance(found, dict):
        raise ClmError(f"{base}: answers with a {type(found).__name__}, expected an object")
    return found


def _scored(choice: dict[str, Any]) -> Completion | None:
    """Return a choice with its scores; None if they are missing or malformed."""
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
