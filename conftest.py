"""Plugins for the tests of this repository."""

pytest_plugins = ["pytester"]
