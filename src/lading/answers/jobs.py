"""What is told of Jobs: the report that one leaves on its claim, and the answers of `lading jobs`."""

from typing import Any

from lading.spec.base import Answer, Stored


class JobAttempt(Stored):
    """One pod of a Job, as it wrote down itself; one that was killed has no end."""

    pod: str
    began_at: str
    """UTC, ISO 8601."""
    ended_at: str | None = None
    exit_code: int | None = None


class JobReport(Stored):
    """What a Job did on a claim, and what it came to: ``.lading/jobs/<name>.json``. No secret is in it."""

    job: str
    uid: str | None = None
    """The Job's own, where the pod was told: another Job of that name is another run."""
    command: dict[str, Any]
    """The command document it ran."""
    started_by: str | None = None
    image: str | None = None
    version: str
    """Of the Lading that ran."""
    attempts: tuple[JobAttempt, ...] = ()
    result: dict[str, Any] | None = None
    """The event that was its result."""
    error: dict[str, Any] | None = None
    """The ``failed`` event that was its end."""


class JobListed(Answer):
    """One Job of ours, as `lading jobs` lists it."""

    name: str
    namespace: str
    purpose: str
    claim: str
    model: str | None = None
    state: str
    """``waiting``, ``running``, ``done``, ``failed`` or ``stopping``."""
    attempt: int
    done_bytes: int | None = None
    total_bytes: int | None = None
    created_at: str
    started_by: str | None = None
    reason: str | None = None
    """Why it failed, or what it waits for."""


class JobStarted(Answer):
    """A Job that goes on by itself: what `lading pull --detach` answers."""

    name: str
    namespace: str
    claim: str
    model: str | None = None
    found: bool
    """It ran already: this command has joined it."""


class JobCancelled(Answer):
    """What `lading jobs cancel` did."""

    name: str
    namespace: str
    was: str
    """The state it was in."""
