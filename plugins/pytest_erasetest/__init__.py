"""The pytest plugin of erasetest: it collects, schedules, reports; it measures nothing."""
