"""Lading: model weights from where they are to a tuned, verified, serving endpoint.

The public names; each is imported when it is first used, so that ``import lading`` costs nothing. None is the name of a
subpackage: importing that would hide it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lading.api.serving import Server, ask, bench, serve, serving, stop
    from lading.api.tuning import load_study, study, tune, write_report
    from lading.api.weights import manifest, models, pull, push, use, verify
    from lading.errors import InvalidInput, LadingError
    from lading.events import Event
    from lading.flows.bench import BenchResult
    from lading.flows.report import Placement
    from lading.measure.summary import Summary
    from lading.spec.study import BackendChoice, Study
    from lading.spec.workload import Workload
    from lading.tuning.result import StudyResult
    from lading.weights.manifest import Manifest
    from lading.wiring import engine

__version__ = "0.1.0"

_HOMES = {
    "lading.api.serving": ("Server", "ask", "bench", "serve", "serving", "stop"),
    "lading.api.tuning": ("load_study", "study", "tune", "write_report"),
    "lading.api.weights": ("manifest", "models", "pull", "push", "use", "verify"),
    "lading.errors": ("InvalidInput", "LadingError"),
    "lading.events": ("Event",),
    "lading.flows.bench": ("BenchResult",),
    "lading.flows.report": ("Placement",),
    "lading.measure.summary": ("Summary",),
    "lading.spec.study": ("BackendChoice", "Study"),
    "lading.spec.workload": ("Workload",),
    "lading.tuning.result": ("StudyResult",),
    "lading.weights.manifest": ("Manifest",),
    "lading.wiring": ("engine",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BackendChoice",
    "BenchResult",
    "Event",
    "InvalidInput",
    "LadingError",
    "Manifest",
    "Placement",
    "Server",
    "Study",
    "StudyResult",
    "Summary",
    "Workload",
    "__version__",
    "ask",
    "bench",
    "engine",
    "load_study",
    "manifest",
    "models",
    "pull",
    "push",
    "serve",
    "serving",
    "stop",
    "study",
    "tune",
    "use",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'lading' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
