"""Helpers for all rooms: atomic files, readers, progress, statistics. Independent of secrets."""
