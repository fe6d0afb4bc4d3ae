"""To be filled."""

ISSUERS = ()
