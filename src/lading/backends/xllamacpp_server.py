"""Runs llama.cpp's server in this process, from one JSON document. Started by file path, by any Python that has xllamacpp.

    python xllamacpp_server.py '{"model.path": "m.gguf", "n_ctx": 4096, "port": 0, "cache_type_k": "ggml_type.GGML_TYPE_Q8_0"}'

Each key is the path of an attribute on ``xllamacpp.CommonParams``; ``"Enum.MEMBER"`` is looked up for attributes that
are enums. It prints ``READY http://host:port`` and serves until SIGTERM. It must import nothing but the standard library
and xllamacpp: the Python that runs it need not have Lading.

With ``LADING_PARENT`` set to a process id it ends when that process does (Linux).
"""

import ctypes
import enum
import json
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

_PR_SET_PDEATHSIG = 1


def main(document: str) -> int:
    """Serve what *document* says; the exit status."""
    _die_with(os.environ.get("LADING_PARENT"))
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    import xllamacpp

    params = xllamacpp.CommonParams()
    for path, value in json.loads(document).items():
        _assign(xllamacpp, params, path, value)
    server = xllamacpp.Server(params)
    print(f"READY {server.listening_address}", flush=True)  # noqa: T201  (the parent reads it)
    while not stop.wait(timeout=3600):
        pass
    sys.stdout.flush()
    os._exit(0)  # the server has no stop method, and its threads would outlive an ordinary exit


def _die_with(parent: str | None) -> None:
    """Ask the kernel to end this process with *parent*; a parent that is already gone ends it now."""
    if not parent or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit("the process that started this server is gone")


def _assign(xllamacpp: Any, params: Any, path: str, value: Any) -> None:
    *owners, name = path.split(".")
    owner = params
    for part in owners:
        owner = getattr(owner, part)
    before = getattr(owner, name)
    setattr(owner, name, _converted(xllamacpp, before, value))


def _converted(xllamacpp: Any, before: Any, value: Any) -> Any:
    """*value* in the type of what it replaces: members of enums by name (in lists too), lists as sets where a set was."""
    if isinstance(value, list) and isinstance(before, list):
        return [_converted(xllamacpp, None, item) for item in value]
    if isinstance(value, str) and not isinstance(before, str) and "." in value:
        kind, _, member = value.partition(".")
        found = getattr(xllamacpp, kind, None)
        if isinstance(found, type) and issubclass(found, enum.Enum):
            return found[member]
    if isinstance(value, list) and isinstance(before, set | frozenset):
        return set(value)
    return value


if __name__ == "__main__":
    sys.tracebacklimit = 0  # the log ends with what went wrong, not with where in here
    if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120  (no pathlib: quick start)
        sys.path.pop(0)  # the modules beside this one are not for it
    sys.exit(main(sys.argv[1]))
