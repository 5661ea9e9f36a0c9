"""The time of day, in the one form that every document of ours has it."""

from datetime import UTC, datetime


def utc_now() -> str:
    """Now: UTC, ISO 8601, to the millisecond. Texts sort as the times do."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
