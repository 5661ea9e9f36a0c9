"""Real parts for tests. A part that this machine lacks skips its tests with the reason; under LADING_TEST_REQUIRE=all
(as in CI) the same lack is a failure."""

import os

import pytest


def require(part: str, found: object, reason: str) -> None:
    """Skip the calling test unless *found*; fail it instead where every real part is required."""
    if found:
        return
    message = f"{part}: {reason}"
    if os.environ.get("LADING_TEST_REQUIRE") == "all":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
