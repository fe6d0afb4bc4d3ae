"""A CLM behind an OpenAI-compatible completions endpoint: what can be asked of it from outside."""

from erasetest.endpoint.client import Completion, Endpoint, EndpointOptions
from erasetest.endpoint.endpoint_probing import probe_endpoint

__all__ = ["Completion", "Endpoint", "EndpointOptions", "probe_endpoint"]
