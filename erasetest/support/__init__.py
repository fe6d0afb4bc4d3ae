"""Helpers for all packages: atomic files, readers, progress, statistics. Independent of secrets."""
