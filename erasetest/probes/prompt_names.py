"""Names of the prompts that a secret is measured on; `prompts` explains and makes them."""

LONGEST, LAST, LINE = PROMPTS = ("longest", "last-64", "line")
AFTER, REPLACED, FIRST = "after-copy", "copy-replaced", "first-occurrence"
UNCHANGED = "unchanged"
"""The text as it stands, with copies of the secret."""
