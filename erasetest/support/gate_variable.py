"""The environment variable in which `erasetest gate` sends a request to the pytest that it runs.

Every run of pytest imports this module, so it imports nothing.
"""

GATE_VARIABLE = "ERASETEST_GATE"
