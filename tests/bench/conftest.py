from lading.testing.load import truth, truth_server  # noqa: F401 - fixtures
