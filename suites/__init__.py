"""The tests that run on a CLM. After an installation: `pytest --pyargs pytest_erasetest.suites`."""
