"""What an answer that is no success means: HTTP status and body to one of our errors, told of what was asked. Pure."""

import json
from dataclasses import replace
from typing import Any

from lading.cluster import access
from lading.cluster.access import Right
from lading.errors import ClusterConflict, ClusterDenied, ClusterError, ObjectMissing

_LONGEST = 2000
_NO_FIELD = "field not declared in schema"


class Gone(ClusterError):
    """The place in history that was asked for is compacted away: list anew (410)."""


class ServerFault(ClusterError):
    """The API server could not (429, 5xx): worth another try.

    Attributes:
        asked_s: The seconds it asked to wait.
    """

    def __init__(self, message: str, *, hint: str | None = None, status: int | None = None, asked_s: float = 0) -> None:
        super().__init__(message, hint=hint, status=status)
        self.asked_s = asked_s


_BY_STATUS = {404: ObjectMissing, 409: ClusterConflict, 410: Gone}


def error(right: Right, status: int, text: str, *, asked_s: float = 0) -> ClusterError:
    """The error that an answer of *status* with *text* is, when *right* was used."""
    document = _status(text)
    said = _said(document, text, status)
    match status:
        case 401:
            return ClusterDenied(
                f"the API server does not know who asks: {right}: {said}",
                hint="log in again; `kubectl auth whoami` shows what your kubeconfig gives",
                status=status,
            )
        case 403:
            return _forbidden(right, said)
        case 500 if _NO_FIELD in said:  # server-side apply's word for a mistake of ours
            return ClusterError(f"{right}: {said}", status=status)
        case 429 | 500 | 502 | 503 | 504:
            return ServerFault(f"{right}: {said}", status=status, asked_s=asked_s)
        case _:
            kind = _BY_STATUS.get(status, ClusterError)
            return kind(f"{right}: {said}", hint=_owners(document), status=status)


def _forbidden(right: Right, said: str) -> ClusterError:
    """RBAC's own refusal gets the rule as its hint; a quota, an admission webhook or a policy speaks for itself."""
    if " cannot " in said or said == "HTTP 403":
        # a WebSocket is a GET; newer API servers ask for create as well, and so does kubectl
        verbs = ("create", "get") if right.sub in {"exec", "portforward"} else (right.verb,)
        hint = access.advice(replace(right, verb=verb) for verb in verbs)
        return ClusterDenied(f"not allowed: {right}", hint=hint, status=403)
    return ClusterDenied(f"{right}: {said}", status=403)


def _status(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) and document.get("kind") == "Status" else {}


def _said(document: dict[str, Any], text: str, status: int) -> str:
    """The server's own words; of a proxy's page in between only the start."""
    said = document.get("message")
    if isinstance(said, str) and said:
        return said[:_LONGEST]
    return " ".join(text.split())[:200] or f"HTTP {status}"


def _owners(document: dict[str, Any]) -> str | None:
    """Who owns which fields, from server-side apply's causes."""
    details = document.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    owned = [
        f"{cause.get('field')} ({cause.get('message')})"
        for cause in causes or ()
        if isinstance(cause, dict) and cause.get("reason") == "FieldManagerConflict"
    ]
    return "another keeps " + "; ".join(owned) if owned else None
