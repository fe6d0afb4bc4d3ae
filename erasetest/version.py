"""The version, apart from the package so that rooms can import it without the front door."""

__version__ = "0.1.0"
