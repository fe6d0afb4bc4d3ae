"""The pytest plugin of erasetest: collects, schedules and reports; it measures and trains nothing."""
