"""Before a first start: whether the program that will run knows the flags it will be given.

A catalogue is of one version of an engine. Where another runs, or it is not known which, the program is asked for its
own flags, once; what it does not know is refused in one sentence instead of a start that fails minutes later.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from lading.engines import help as helps
from lading.errors import InvalidParameters
from lading.ports.backend import Backend, Deployment, ServeRequest, TellsHelp

HELP_S = 120.0
"""How long a program may take to tell its flags: an engine imports all of itself before it does."""
#: What every server takes: a help that does not name these is not the whole of it, and nothing is concluded from it.
_ALWAYS = frozenset({"--host", "--port"})


async def planned(backend: Backend, request: ServeRequest) -> Deployment:
    """What *backend* will create for *request*, with flags that the program knows, written out in full.

    Raises:
        InvalidParameters: As `Backend.plan`; or the program that would run does not know a flag, or one of its values.
    """
    deployment = backend.plan(request)
    dialect = helps.DIALECTS.get(deployment.program)
    if dialect is None or not isinstance(backend, TellsHelp):
        return deployment
    told = await backend.version(deployment)
    if helps.is_of_version(deployment.engine, told):
        return deployment
    known = helps.read(await backend.help_text(deployment, dialect.asks, within_s=HELP_S))
    if not {name for option in known for name in option.names} >= _ALWAYS:
        return deployment
    return _with_known_flags(deployment, known, dialect, told)


def _with_known_flags(
    deployment: Deployment, known: Sequence[helps.Option], dialect: helps.Dialect, told: str | None
) -> Deployment:
    own, arguments = _parted(deployment.argv)
    checked = helps.check(known, arguments, dialect)
    engine = deployment.engine
    what = f"{deployment.program} {told}" if told else f"this {deployment.program}"
    problems = [_said(finding) for finding in checked.problems]
    problems += [_said(finding) for finding in checked.notes if finding.problem == "abbreviated" and deployment.objects]
    if problems:
        raise InvalidParameters(
            f"{what} does not take what {engine.name} {engine.version} does",
            problems=problems,
            hint=f"leave them out, or run {engine.name} {engine.version}, whose parameters `lading engines {engine.name}` lists",
        )
    argv = (*own, *checked.argv)
    if argv == deployment.argv:
        return deployment
    return replace(deployment, argv=argv, argv_sha256=hashlib.sha256("\0".join(argv).encode()).hexdigest())


def _parted(argv: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words that call the program, where they hold a flag themselves (``python3 -m module``), and the others."""
    own = 3 if argv[1:2] == ("-m",) and PurePath(argv[0]).name.startswith("python") else 0
    return argv[:own], argv[own:]


def _said(finding: helps.Finding) -> str:
    return finding.message.removeprefix("the program ")
