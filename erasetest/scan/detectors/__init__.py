"""Detectors, one strategy a module: from a document to the places of its secrets."""
