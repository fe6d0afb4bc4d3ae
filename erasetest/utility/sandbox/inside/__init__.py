"""Code that runs inside the sandbox, imported by `python -I -S` of the fork server alone.

It imports no module outside of this folder except fast ones of the standard library.
"""
