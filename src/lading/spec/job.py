"""What a user may say about a Job of ours. Values only."""

from dataclasses import dataclass, field
from typing import Literal

from lading.spec.credentials import CredentialChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChoice:
    """What was said of a Job; None where nothing was.

    Attributes:
        like: ``KIND/NAME`` of an object whose pods it is placed like.
        attempts: How many of its pods may fail.
        deadline_s: Of all attempts together.
        during_update: How a claim that a server holds is freed.
        replace_old: The version that is there makes room first.
        look: The source is looked at from a pod before there is a Job.
    """

    credentials: CredentialChoice = field(default_factory=CredentialChoice)
    like: str | None = None
    attempts: int | None = None
    deadline_s: float | None = None
    cpu: str | None = None
    memory: str | None = None
    during_update: Literal["scale", "recreate", "same-node"] | None = None
    replace_old: bool = False
    look: bool = True
