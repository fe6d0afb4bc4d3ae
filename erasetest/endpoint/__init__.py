"""A CLM behind an OpenAI-compatible completions endpoint: what can be asked of it from outside."""

from erasetest.endpoint.client import Completion, Endpoint, EndpointOptions, is_endpoint
from erasetest.endpoint.probe import probe_endpoint

__all__ = ["Completion", "Endpoint", "EndpointOptions", "is_endpoint", "probe_endpoint"]
