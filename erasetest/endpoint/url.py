"""URLs of completions endpoints, which can be checked without an HTTP client."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from erasetest.errors import BadInput


def is_endpoint(name: str) -> bool:
    """Whether a CLM's name is the URL of a completions endpoint."""
    return name.startswith(("http://", "https://"))


def split_endpoint(name: str) -> SplitResult:
    """The parts of an endpoint's URL.

    Raises:
        BadInput: it is no URL, or holds a key or a query; the message does not repeat it.
    """
    try:
        parts = urlsplit(name)
    except ValueError:
        raise BadInput("the URL of the CLM cannot be read: expected http://host:port/v1") from None
    if parts.username or parts.password or parts.query:
        raise BadInput(
            "a key or a query does not belong into the URL of a CLM: set ERASETEST_API_KEY"
        )
    return parts
