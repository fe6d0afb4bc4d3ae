"""Masking of secrets in everything that pytest and its plugins print and write."""
