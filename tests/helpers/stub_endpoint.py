"""A completions endpoint without a CLM that recites the secrets of given samples."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Imported before pytester runs pytest in this process, because it unloads the modules that such a
# run imports: httpx would keep the exceptions of the first copy of httpcore, and parts of numpy,
# which scipy imports, cannot be imported twice.
import httpcore  # noqa: F401
import scipy.special  # noqa: F401

from erasetest.samples import SensitiveSample


@contextlib.contextmanager
def serving(recited: Iterable[SensitiveSample]) -> Iterator[str]:
    """Yield the URL of an endpoint that completes the code before these secrets with them."""
    answers = {
        sample.content.reveal()[: secret.start]: sample.content.reveal()[secret.start :]
        for sample in recited
        for secret in sample.secrets
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {"data": [{"id": "stub"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if asked.get("echo"):
                return self._answer(400, {"error": "echo is not served"})
            text = answers.get(asked["prompt"], "none")
            return self._answer(200, {"choices": [{"text": text}] * asked.get("n", 1)})

        def _answer(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()
