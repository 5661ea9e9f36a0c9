"""What marks an object on a cluster as ours, and where things are inside our pods."""

MANAGED_BY = "app.kubernetes.io/managed-by"
#: Server-side apply's owner of the fields we set, and the value of `MANAGED_BY`.
MANAGER = "lading"
#: Label: what the object is for; one of `PURPOSES`.
PURPOSE = "lading.dev/purpose"
#: Label: the claim it works on.
CLAIM = "lading.dev/claim"
#: Label: the model it works on, `/` as `.`.
MODEL = "lading.dev/model"
#: Annotation: the command document it runs, as JSON; never holds a secret.
COMMAND = "lading.dev/command"
#: Annotation: who started it, as that person's kubeconfig or notebook says.
STARTED_BY = "lading.dev/started-by"
#: Label: the server it belongs to, as its objects are called (`names.dns` of its name).
SERVER = "lading.dev/server"
#: Label: the backend that made it.
BACKEND = "lading.dev/backend"
#: Label: the run that owns it; without it, it is a user's and stays until it is stopped.
LEASE = "lading.dev/lease"
#: Annotation: the server's name as its user wrote it.
NAME = "lading.dev/name"
#: Annotation: of everything that was planned, lease apart: what has another one runs something else.
DIGEST = "lading.dev/digest"
#: Annotation: the claim and the folder on it that it serves.
SERVED_FROM = "lading.dev/served-from"
#: Annotation: the name that requests carry.
SERVED_NAME = "lading.dev/served-name"
#: Annotation: the engine that serves it.
ENGINE = "lading.dev/engine"
PURPOSES = ("pull", "push", "reader", "writer", "repair")
#: Where our pods mount the claim, at its root.
MOUNT = "/volume"
#: Where they mount a claim that they only read from.
SOURCE_MOUNT = "/source"
#: The environment variable in which a pod finds its command document.
COMMAND_VARIABLE = "LADING_COMMAND"
#: Which run this is: the uid of the Job, the same for all its pods, or of the helper pod.
RUN_VARIABLE = "LADING_RUN"
#: Which writer this is, of which one lives at a time: the claim's uid and the Job's name, over several Jobs of that name.
#: Only a Job whose predecessors' pods were seen to have ended has it.
WRITER_VARIABLE = "LADING_WRITER"
#: The Job's name.
JOB_VARIABLE = "LADING_JOB"
#: The claim that is mounted, and its namespace.
CLAIM_VARIABLE = "LADING_CLAIM"
NAMESPACE_VARIABLE = "LADING_NAMESPACE"
#: Who started it, and the image it was told to run: for the report on the claim.
STARTED_BY_VARIABLE = "LADING_STARTED_BY"
IMAGE_VARIABLE = "LADING_IMAGE"
#: The exit code of a pod whose work another attempt may do (sysexits' EX_TEMPFAIL); a Job does not retry the others.
TRY_AGAIN = 75
#: The group that owns what an unowned volume's pods write, where no SCC and no other pod says which.
GROUP = 65532


def labels(purpose: str, *, claim: str, model: str | None = None) -> dict[str, str]:
    """The labels of an object of ours."""
    made = {MANAGED_BY: MANAGER, PURPOSE: purpose, CLAIM: claim[:63].rstrip("-.")}
    if model:
        made[MODEL] = model.replace("/", ".")[:63].rstrip("-.")
    return made
