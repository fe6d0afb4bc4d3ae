"""Everything that masks secrets in what pytest and its plugins print and write."""
