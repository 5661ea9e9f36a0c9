"""Who we are to the API server: the headers of a request, renewed where what they are made of changes.

Nothing here is shown: no token is in a repr, an error or a log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Identity(Protocol):
    """What says who we are."""

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """The headers of a request, secret; *renew*: the last ones were refused.

        Raises:
            ClusterUnreachable: They cannot be got, and why.
        """


@dataclass(frozen=True, slots=True)
class Fixed:
    """Headers that do not change: a token in the kubeconfig, a password, or none beside a client certificate."""

    given: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:  # noqa: ARG002 - there is nothing to renew
        """See `Identity`."""
        return self.given
