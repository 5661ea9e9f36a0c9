"""What a person watches while a study runs: where it is, who leads, how long it takes, what failed last."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lading import events
from lading.events import Event
from lading.spec import units
from lading.spec.study import Study
from lading.tuning import verdict

_PHASES = {
    "start": "starting the server",
    "ready": "waiting for its first answer",
    "warmup": "warming up",
    "measure": "measuring",
    "teardown": "taking it down",
}
_ORIGINS = {
    "this run": "from the trials of this run",
    "past runs": "from past runs of this model and load",
    "guess": "a first guess, refined after the first trial",
}


def in_words(plan: events.StudyPlanned) -> str:
    """The plan in one line: how many trials, server starts, how long."""
    kept = f" ({plan.resumed_trials} stand from before)" if plan.resumed_trials else ""
    if not plan.server_starts:
        return f"{plan.name}, run {plan.run}: nothing is left to do{kept}"
    trials = f"{plan.trials} trials{kept}, {plan.confirmations} more server lives to compare the best with the defaults"
    about = f"about {units.show_seconds(plan.seconds_estimated)}" if plan.seconds_estimated else "unknown"
    most = units.show_seconds(plan.seconds_at_most)
    spare = plan.replacements_at_most
    more = f" (and {spare} in place of lives that the client or the machine spoils)" if spare else ""
    return (
        f"{plan.name}, run {plan.run}: {trials}: at most {plan.server_starts} server starts{more}, {about} "
        f"({_ORIGINS[plan.estimated_from]}), {most} at most"
    )


class TuneView:
    """A few lines at the bottom of the terminal, told by events."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._trials = 0
        self._ended = 0
        self._trial = ""
        self._phase = ""
        self._level = ""
        self._best = ""
        self._eta = ""
        self._last: deque[str] = deque(maxlen=3)
        self._live: Live | None = None

    @contextmanager
    def shown(self, watched: bool) -> Iterator[None]:
        """Draw for the length of the block, where someone watches."""
        if not watched:
            yield
            return
        with Live(self._drawn(), console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def __call__(self, event: Event) -> None:
        """Take note of *event* and draw."""
        self._note(event)
        if self._live is not None:
            self._live.update(self._drawn())

    @staticmethod
    def line(study: Study, ended: events.TrialEnded) -> str:
        """How a trial ended, in one line."""
        if ended.value is not None:
            unit = verdict.unit_of(study.objective)
            return f"trial {ended.number}: {verdict.show_value(ended.value, unit)} at {ended.level}"
        return f"trial {ended.number}: {ended.outcome}" + (f": {ended.reason}" if ended.reason else ", no score")

    def _note(self, event: Event) -> None:
        match event:
            case events.StudyPlanned():
                self._trials = event.server_starts
                self._eta = units.show_seconds(event.seconds_estimated) if event.seconds_estimated else ""
            case events.TrialStarted():
                chosen = ", ".join(f"{key}={value}" for key, value in event.params.items()) or "the defaults"
                self._trial = f"trial {event.number} ({event.role}): {chosen}"
                self._level = ""
            case events.PhaseStarted():
                self._phase = _PHASES.get(event.phase, event.phase)
            case events.LevelProgress():
                self._level = f" {event.level}: {event.ended} of {event.requests}"
            case events.TrialEnded():
                self._note_end(event)
            case _:
                pass

    def _note_end(self, event: events.TrialEnded) -> None:
        self._ended += 1
        self._level = ""
        self._eta = units.show_seconds(event.eta_s) if event.eta_s else ""
        self._last.append(self.line(self._study, event))
        if event.best_value is not None:
            value = verdict.show_value(event.best_value, verdict.unit_of(self._study.objective))
            self._best = f"best so far: trial {event.best_number}, {value}"

    def _drawn(self) -> Group:
        head = f"{self._study.name}  {self._ended} of {self._trials} server lives"
        eta = f", about {self._eta} left" if self._eta else ""
        return Group(
            *(Text(f"  {line}", style="dim") for line in self._last),
            Text(head + eta, style="bold"),
            Text(f"  {self._trial}"),
            Text(f"  {self._phase}{self._level}"),
            Text(f"  {self._best}", style="green"),
        )
