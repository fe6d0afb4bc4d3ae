"""Process that serves completions of a tiny CLM and prints its port.

The first folder of a path is the mode: `plain`, `echo` (scores prompts), `busy` (429 and 503 before
each answer), `short` (400 for more than 200 characters), `single` (one text for any n), `shapes`
(malformed choices), `slow` (never completes), `broken` (no JSON), `locked` (401), `two` (serves two
models), `changed` (another CLM).
"""

from __future__ import annotations

import json
import sys
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tiny
import torch

from erasetest.clm import Clm

SEEN: dict[str, int] = {}


@cache
def _clm(*, changed: bool) -> Clm:
    return tiny.untrained("qwen2") if changed else tiny.reciting("qwen2")


class Handler(BaseHTTPRequestHandler):
    """Handler of the two paths of the API."""

    def do_GET(self) -> None:
        names = ["tiny", "other"] if self._mode() == "two" else ["tiny"]
        self._answer(200, {"data": [{"id": name} for name in names]})

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        asked = json.loads(text)
        mode = self._mode()
        clm = _clm(changed=mode == "changed")
        if mode == "busy":
            SEEN[text] = SEEN.get(text, 0) + 1
            if SEEN[text] == 1:
                return self._answer(429, {"error": asked["prompt"]}, {"retry-after": "7"})
            if SEEN[text] == 2:
                return self._answer(503, {})
        if mode == "slow":
            time.sleep(30)
        if mode == "locked":
            return self._answer(401, {"error": asked["prompt"]})
        if mode == "broken":
            return self._answer(200, None)
        if mode == "shapes":
            return self._answer(200, {"choices": [None]})
        if mode == "short" and len(asked["prompt"]) > 200:
            return self._answer(400, {"error": "too long: " + asked["prompt"]})
        if mode == "single":
            asked["n"] = 1
        if asked.get("echo"):
            if mode != "echo":
                return self._answer(400, {"error": "echo is not served: " + asked["prompt"]})
            return self._answer(200, {"choices": [_scored(clm, asked["prompt"])]})
        generator = torch.Generator().manual_seed(asked.get("seed") or 0)
        choices = [{"text": _continue(clm, asked, generator)} for _ in range(asked.get("n", 1))]
        return self._answer(200, {"choices": choices})

    def _mode(self) -> str:
        return self.path.split("/")[1]

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = b"<html>" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write no log."""


@torch.no_grad()
def _continue(clm: Clm, asked: dict[str, Any], generator: torch.Generator) -> str:
    ids = list(clm.tokenizer(asked["prompt"])["input_ids"])[-60:]
    begin = len(ids)
    for _ in range(min(asked["max_tokens"], tiny.WINDOW - begin)):
        logits = clm.model(input_ids=torch.tensor([ids])).logits[0, -1]
        if asked["temperature"]:
            chances = (logits / asked["temperature"]).softmax(-1)
            token = int(torch.multinomial(chances, 1, generator=generator))
        else:
            token = int(logits.argmax())
        if token in clm.end_tokens:
            break
        ids.append(token)
    return str(clm.tokenizer.decode(ids[begin:]))


@torch.no_grad()
def _scored(clm: Clm, prompt: str) -> dict[str, Any]:
    encoded = clm.tokenizer(prompt, return_offsets_mapping=True)
    ids = encoded["input_ids"]
    logits = clm.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    names = clm.tokenizer.convert_ids_to_tokens
    best = logits.argmax(-1).tolist()
    return {
        "text": prompt,
        "logprobs": {
            "tokens": names(ids),
            "text_offset": [a for a, _ in encoded["offset_mapping"]],
            "token_logprobs": [None, *(float(logits[i - 1, ids[i]]) for i in range(1, len(ids)))],
            "top_logprobs": [
                None,
                *(
                    {names([best[i - 1]])[0]: float(logits[i - 1].max())}
                    for i in range(1, len(ids))
                ),
            ],
        },
    }


if __name__ == "__main__":
    _clm(changed=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
