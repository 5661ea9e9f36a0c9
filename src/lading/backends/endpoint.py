"""Something that already runs: nothing is started and nothing is stopped, only asked."""

import hashlib
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from lading.backends import asking
from lading.engines.base import Engine
from lading.errors import InvalidInput, ServingError
from lading.ports.backend import Deployment, Endpoint, Ready, ServeRequest
from lading.spec.study import BackendChoice

API_KEY_VARIABLE = "LADING_API_KEY"


class EndpointBackend:
    """The server at `choice.url`; its key is read from the environment at each use, and never kept.

    Args:
        choice: `url` and `api_key_env` are read.
        home: Not used: nothing is written.
    """

    kind = "endpoint"

    def __init__(self, choice: BackendChoice, *, home: Path) -> None:
        del home
        self._url = checked_url(choice.url)
        self._key_variable = choice.api_key_env or API_KEY_VARIABLE
        self._applied: dict[str, Deployment] = {}

    def plan(self, request: ServeRequest) -> Deployment:
        """As `lading.ports.backend.Backend.plan`; the command line is empty, and parameters are refused: they cannot be set.

        Raises:
            InvalidInput: There are parameters.
        """
        if request.params:
            raise InvalidInput(
                f"the server at {self._url} already runs: its {', '.join(sorted(request.params))} cannot be set from here",
                hint="leave the parameters out, or use --backend process",
            )
        return Deployment(
            name=request.name,
            backend=self.kind,
            engine=request.engine,
            program="",
            argv=(),
            argv_sha256=hashlib.sha256(self._url.encode()).hexdigest(),
            env={},
            model=request.model,
            served_name=request.served_name,
            params={},
            host=urlsplit(self._url).hostname or "",
            port=urlsplit(self._url).port,
            lease=request.lease,
        )

    async def apply(self, deployment: Deployment) -> None:
        """Nothing is started."""
        self._applied[deployment.name] = deployment

    async def ready(self, name: str, *, within_s: float) -> Ready:
        """As `lading.ports.backend.Backend.ready`; an empty served name is found out, when there is one only."""
        began = time.monotonic()
        deployment = self._applied.get(name)
        if deployment is None:
            raise ServingError(f"nothing called {name} was applied", hint="`apply` comes before `ready`")
        engine = deployment.engine
        async with asking.Client(self._url, self.headers()) as client:
            served = await asking.until_answering(
                client, deployment.served_name or None, deadline=began + within_s, check=lambda: None
            )
            answers = await asking.probes(client, engine.probes)
        return Ready(
            endpoint=self._endpoint(served, engine, asking.vocabulary(answers)),
            ready_s=time.monotonic() - began,
            argv=None,
            effective=engine.effective(answers, ()),
        )

    async def alive(self, name: str) -> bool:
        """Whether `apply` was called: whose server it is decides whether it lives."""
        return name in self._applied

    def log(self, name: str, *, lines: int = 200) -> tuple[str, ...]:
        """Empty: its log is not ours."""
        del name, lines
        return ()

    async def remove(self, name: str, *, within_s: float = 60.0) -> None:
        """Nothing is stopped."""
        del within_s
        self._applied.pop(name, None)

    async def names(self) -> tuple[str, ...]:
        """What was applied."""
        return tuple(sorted(self._applied))

    async def reap(self) -> tuple[str, ...]:
        """Nothing is ever left."""
        return ()

    def headers(self) -> dict[str, str]:
        """The authorization, when there is a key."""
        key = os.environ.get(self._key_variable, "").strip()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _endpoint(self, served_name: str, engine: Engine, vocabulary: int | None) -> Endpoint:
        return Endpoint(
            base_url=self._url,
            served_name=served_name,
            takes_token_ids=engine.takes_token_ids,
            vocabulary=vocabulary,
            request_body=dict(engine.request_body()),
            headers=self.headers(),
        )


def checked_url(url: str | None) -> str:
    """*url* without ``/v1`` and trailing slash.

    Raises:
        InvalidInput: It is missing, not http(s), or holds a password.
    """
    parts = urlsplit(url or "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        shown = "that" if parts.username or parts.query else repr(url)
        raise InvalidInput(f"{shown} is not the URL of a server", hint="such as http://127.0.0.1:8000")
    if parts.username or parts.password:
        raise InvalidInput(
            f"the URL of {parts.hostname} holds a password", hint=f"put the key in {API_KEY_VARIABLE} instead"
        )
    return parts._replace(query="", fragment="").geturl().rstrip("/").removesuffix("/v1").rstrip("/")
