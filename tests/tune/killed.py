"""`lading tune` that kills itself, at once and for good (SIGKILL), when it tells a certain event.

    python killed.py EVENT[:DETAIL][#COUNT] tune study.yaml

EVENT is the name of an event, DETAIL the phase or role in it, COUNT which of them (from 1). ``never`` lets it live. From
outside it could only be hit some milliseconds later. The client's own verdict is switched off: on a busy machine it
would leave the study without a comparison, and it is not what is tested.
"""

import os
import signal
import sys

from lading.cli import app, output
from lading.load import health

condition, arguments = sys.argv[1], sys.argv[2:]
name, _, count = condition.partition("#")
name, _, detail = name.partition(":")
left = [int(count or 1)]
told = output.Output.event


def event(self, happened):
    told(self, happened)
    about = getattr(happened, "phase", None) or getattr(happened, "role", None)
    if happened.event == name and detail in ("", about):
        left[0] -= 1
        if left[0] == 0:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


judged = health.judged


def unlimited(*arguments, **options):
    return judged(*arguments, **options).model_copy(update={"limited_by": ()})


output.Output.event = event
health.judged = unlimited
app.main(arguments)
