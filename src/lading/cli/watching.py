"""A person, or a program, watches a Job: its events as those of the same command here, and how to leave it."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from lading.answers.jobs import JobStarted
from lading.cli.leaving import leavable
from lading.cli.output import Output
from lading.cli.pull import PullView, tell_done, tell_notice
from lading.cluster.client import Cluster
from lading.errors import StillRunning
from lading.events import Event, Published, Pushed, Unchanged
from lading.placement import jobs
from lading.placement.jobs import Run
from lading.spec import units
from lading.spec.placement import Choice
from lading.spec.ref import ClaimRef
from lading.wiring import claims


class Watching:
    """Tells events of a Job, and waits for its end."""

    def __init__(self, output: Output, view: PullView, choice: Choice) -> None:
        self._output = output
        self._view = view
        self._choice = choice
        self._quiet = False

    def __call__(self, event: Event) -> None:
        """Tell *event*: what a person should read also where nobody watches a bar."""
        tell_notice(self._output, self._view, event)
        if not self._quiet or self._output.json:
            self._output.event(event)

    async def wait(
        self, cluster: Cluster, run: Run, work: Coroutine[Any, Any, Event], *, timeout_s: float | None
    ) -> Event:
        """What *work*, which follows *run*, gives.

        Raises:
            StillRunning: *timeout_s* passed, or it was left running.
            Cancelled: It was stopped.
        """
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                return await leavable(
                    work,
                    name=run.name,
                    follow=self.command("follow", run),
                    stop=lambda: jobs.cancel(cluster, run),
                    quiet=self._hush,
                    ask=not self._output.json and sys.stdin.isatty() and sys.stderr.isatty(),
                )
        except TimeoutError:
            if timeout_s is None or not deadline.expired():
                raise
            raise StillRunning(
                f"{run.name} is not done after {units.show_seconds(timeout_s)}; it goes on in the cluster",
                hint=self.command("follow", run),
            ) from None

    def tell_started(self, run: Run, does: str) -> None:
        """It was left running from the start; *does* is what, in words."""
        answer = JobStarted(name=run.name, namespace=run.namespace, claim=run.claim, model=run.model, found=run.found)
        self._output.result(answer, f"{run.name} {does} and goes on by itself")
        self._output.next(self.command("follow", run))

    def tell_result(self, result: Event, run: Run) -> None:
        """The answer of a Job that was followed to its end."""
        self._view.close()
        if isinstance(result, Published | Unchanged):
            tell_done(self._output, result, self.claim(run), then="verify")
        elif isinstance(result, Pushed):
            from lading.cli import push

            push.tell_done(self._output, result, endpoint=None)
        elif not self._output.json:
            self._output.result(result, f"{run.name} is done")

    def command(self, word: str, run: Run) -> str:
        """``lading jobs WORD NAME`` for this very cluster and namespace."""
        options = [
            f"--{option} {value}"
            for option, value in (
                ("namespace", self._choice.namespace and run.namespace),
                ("context", self._choice.context),
                ("kubeconfig", self._choice.kubeconfig),
            )
            if value
        ]
        return " ".join(["lading jobs", word, run.name, *options])

    def claim(self, run: Run) -> str:
        """The claim of *run*, as a person names it."""
        return claims.shown(ClaimRef(claim=run.claim), self._choice)

    def _hush(self, quiet: bool) -> None:
        self._quiet = quiet
        self._view.pause()
