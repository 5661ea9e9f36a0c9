"""Options of a pull that runs in a Job."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from lading.errors import InvalidInput
from lading.spec import units
from lading.spec.credentials import CredentialChoice
from lading.spec.job import JobChoice

GROUP = "Job"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class InJob:
    """How a Job gets at its source, how long it may take, and whether it is waited for. For claims only."""

    secret: Annotated[str | None, Parameter(group=GROUP)] = None
    """Secret with the keys of the S3 store, in any spelling in use."""
    storage_key: Annotated[str | None, Parameter(group=GROUP)] = None
    """Key of the Secret storage-config, as in an InferenceService's storage."""
    connection: Annotated[str | None, Parameter(group=GROUP)] = None
    """OpenShift AI data connection."""
    token_secret: Annotated[str | None, Parameter(group=GROUP)] = None
    """Secret with a token of the source."""
    detach: Annotated[bool, Parameter(negative=(), group=GROUP)] = False
    """Leave it running; `lading jobs follow` shows it again."""
    wait: Annotated[bool, Parameter(negative=(), group=GROUP)] = False
    """Wait for its end, which is the default."""
    timeout: Annotated[str | None, Parameter(group=GROUP)] = None
    """Wait no longer than this, such as 30m; then exit with code 5, and the Job goes on."""
    output: Annotated[Literal["yaml"] | None, Parameter(name=["--output", "-o"], group=GROUP)] = None
    """Print what would be created, to be kept in Git and applied by hand."""
    argocd_hook: Annotated[bool, Parameter(negative=(), group=GROUP)] = False
    """With --output yaml: run it as a hook of Argo CD, at each sync."""
    like: Annotated[str | None, Parameter(group=GROUP)] = None
    """Run where and as this one runs: isvc/NAME, deployment/NAME or pod/NAME."""
    during_update: Annotated[Literal["scale", "recreate", "same-node"] | None, Parameter(group=GROUP)] = None
    """A server that holds the claim: scale stops it meanwhile, recreate restarts it afterwards, same-node leaves it."""
    replace_old: Annotated[bool, Parameter(negative=(), group=GROUP)] = False
    """Room for one copy only: remove the old version before the new one comes."""
    preflight: Annotated[bool, Parameter(negative="--no-preflight", group=GROUP)] = True
    """Look at the source from where the Job will run before there is one."""
    backoff_limit: Annotated[int | None, Parameter(group=GROUP)] = None
    """How many of its pods may fail."""
    deadline: Annotated[str | None, Parameter(group=GROUP)] = None
    """The cluster ends it after this time, such as 12h."""
    cpu: Annotated[str | None, Parameter(group=GROUP)] = None
    """CPU it requests, such as 2 or 500m."""
    memory: Annotated[str | None, Parameter(group=GROUP)] = None
    """Memory it requests and may use, such as 1Gi."""
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=(), group=GROUP)] = False
    """Do not ask before a server is stopped or a version removed."""

    def choice(self, *, service_account: str | None) -> JobChoice:
        """As the rest of the program takes it.

        Raises:
            InvalidInput: A time is written wrongly, or options contradict each other.
        """
        if self.detach and (self.wait or self.timeout):
            raise InvalidInput("--detach does not wait", hint="leave out --wait and --timeout, or --detach")
        if self.detach and (self.replace_old or self.during_update in ("scale", "recreate")):
            raise InvalidInput("--detach cannot bring a server back", hint="leave it out, or --during-update same-node")
        if self.argocd_hook and self.output is None:
            raise InvalidInput("--argocd-hook says how the YAML is written", hint="add --output yaml")
        _ = self.timeout_s  # read before there is a Job that nobody would wait for
        credentials = CredentialChoice(
            secret=self.secret,
            service_account=service_account,
            storage_key=self.storage_key,
            connection=self.connection,
            token_secret=self.token_secret,
        )
        return JobChoice(
            credentials=credentials,
            like=self.like,
            attempts=self.backoff_limit,
            deadline_s=_seconds("--deadline", self.deadline),
            cpu=self.cpu,
            memory=self.memory,
            during_update=self.during_update,
            replace_old=self.replace_old,
            look=self.preflight,
        )

    @property
    def timeout_s(self) -> float | None:
        """How long to wait; None: to its end."""
        return _seconds("--timeout", self.timeout)


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return units.parse_seconds(text)
    except ValueError as error:
        raise InvalidInput(f"{option}: {error}", hint=f"such as {option} 30m") from error
