"""The demo CLM: a small code model that learns functions and recites planted secrets."""
