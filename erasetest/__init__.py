"""Privacy regression tests for code language models."""

__version__ = "0.1.0"
