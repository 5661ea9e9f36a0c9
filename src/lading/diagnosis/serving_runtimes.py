"""Whether a runtime that is there will serve a model: KServe asks the same questions, after everything was applied."""

from collections.abc import Sequence

from lading.diagnosis import finding
from lading.diagnosis.finding import Finding, Object
from lading.spec.nearest import nearest

_LIST = "`kubectl get servingruntimes.serving.kserve.io,clusterservingruntimes.serving.kserve.io -A` lists them"


def missing(name: str, names: Sequence[str], evidence: Sequence[str] = ()) -> Finding:
    """There is no runtime *name*; *names* are those that there are."""
    near = nearest(name, sorted(names))
    remedy = f"did you mean --runtime {near}?" if near else f"name another with --runtime, or leave it out: one is made; {_LIST}"  # fmt: skip
    return Finding(cause="runtime-missing", sentence=f"there is no ServingRuntime or ClusterServingRuntime {name}", remedy=remedy, evidence=tuple(evidence), fatal=True)  # fmt: skip


def problems(runtime: Object, *, model_format: str, protocol: str, served_name: str, name: str) -> tuple[Finding, ...]:
    """Everything in *runtime* that keeps it from serving.

    Args:
        runtime: The ServingRuntime or ClusterServingRuntime.
        model_format: Of the InferenceService.
        protocol: Of the InferenceService; empty: none is asked for, and none is checked.
        served_name: The name that requests will carry.
        name: Of the InferenceService: what ``{{.Name}}`` becomes.
    """
    found = (
        _disabled(runtime),
        _without_container(runtime),
        _format(runtime, model_format),
        _protocol(runtime, protocol),
        _names(runtime, served_name, name),
    )
    return tuple(one for one in found if one is not None)


def _problem(cause: str, sentence: str, remedy: str) -> Finding:
    return Finding(cause=cause, sentence=sentence, remedy=remedy, fatal=True)


def _disabled(runtime: Object) -> Finding | None:
    if finding.at(runtime, "spec", "disabled") is not True:
        return None
    return _problem("runtime-disabled", f"the runtime {finding.name(runtime)} is disabled", f"name another with --runtime; {_LIST}")  # fmt: skip


def _without_container(runtime: Object) -> Finding | None:
    names = [finding.text(one, "name") for one in finding.objects(runtime, "spec", "containers")]
    if "kserve-container" in names:
        return None
    has = f"its containers are {', '.join(names)}" if names else "it has no container"
    return _problem("runtime-invalid", f"the runtime {finding.name(runtime)} has no container kserve-container: {has}", "name another with --runtime, or leave it out: one is made")  # fmt: skip


def _format(runtime: Object, model_format: str) -> Finding | None:
    listed = [finding.text(one, "name") for one in finding.objects(runtime, "spec", "supportedModelFormats")]
    if model_format in listed:
        return None
    has = ", ".join(listed) or "none"
    return _problem("runtime-unsupported", f"the runtime {finding.name(runtime)} does not take the format {model_format}; it lists {has}", f"name another with --runtime, or leave it out: one is made; {_LIST}")  # fmt: skip


def _protocol(runtime: Object, protocol: str) -> Finding | None:
    listed = finding.at(runtime, "spec", "protocolVersions")
    names = [str(one) for one in listed] if isinstance(listed, list | tuple) else []
    if not protocol or not names or protocol in names:
        return None
    return _problem("runtime-unsupported", f"the runtime {finding.name(runtime)} does not speak the protocol {protocol}; it lists {', '.join(names)}", "name another with --runtime, or leave it out: one is made")  # fmt: skip


def _names(runtime: Object, served_name: str, name: str) -> Finding | None:
    """A runtime that names the model after the InferenceService answers to nothing else."""
    lists = [
        finding.at(container, part)
        for container in finding.objects(runtime, "spec", "containers")
        for part in ("command", "args")
    ]
    words = [str(word) for listed in lists if isinstance(listed, list | tuple) for word in listed]
    if served_name == name or not any("{{.Name}}" in word for word in words):
        return None
    return _problem("served-name", f"the runtime {finding.name(runtime)} serves the model as {name}, the InferenceService's own name, not as {served_name}", f"--served-name {name}, or leave --runtime out: one is made")  # fmt: skip
