"""Check URLs of completions endpoints, without importing an HTTP client."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from erasetest.errors import BadInput


def is_endpoint(name: str) -> bool:
    """Return whether a CLM's name is the URL of a completions endpoint."""
    return name.startswith(("http://", "https://"))


def split_endpoint(name: str) -> SplitResult:
    """Split the URL of an endpoint.

    Raises:
        BadInput: it is not a URL, or contains a key or a query; the message does not repeat it.
    """
    try:
        parts = urlsplit(name)
    except ValueError:
        raise BadInput("the URL of the CLM is malformed: expected http://host:port/v1") from None
    if parts.username or parts.password or parts.query:
        raise BadInput("the URL of a CLM must not contain a key or a query: set ERASETEST_API_KEY")
    return parts
