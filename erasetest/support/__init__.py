"""What every room uses: atomic files, readers, progress, statistics. Knows nothing of secrets."""
