"""The tests of a CLM. Run them with `pytest --pyargs pytest_erasetest.suites`."""
