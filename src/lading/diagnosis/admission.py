"""Why the API refused a pod: quota, limits, pod security, OpenShift's constraints, policies and webhooks.

The same words arrive as the event `FailedCreate` of a Job and as the answer to a pod that is created, or tried with a
dry run.
"""

from lading.diagnosis import texts
from lading.diagnosis.finding import Finding
from lading.diagnosis.texts import Sign
from lading.spec.lines import one_line

_SIGNS = (
    Sign(
        r"exceeded quota: ([\w.-]+), requested: (.+?), used: (.+?), limited: (.+)",
        "quota-exceeded",
        "the quota {0} has no room for {subject}: it asks for {1}; used: {2}; allowed: {3}",
        "wait until something else ends, or have the quota raised: `kubectl describe resourcequota {0}`",
        fatal=False,
    ),
    Sign(
        r"failed quota: ([\w.-]+): must specify (.+)",
        "quota-needs-limits",
        "the quota {0} wants {subject} to say {1}",
        "have a LimitRange with defaults added to the namespace",
    ),
    Sign(
        r"((?:maximum|minimum) [\w./-]+ usage per (?:Container|Pod) is .+|[\w./-]+ max limit to request ratio per \w+ is .+)",
        "limit-range",
        "a LimitRange of the namespace refuses {subject}: {0}",
        "have the LimitRange changed: `kubectl describe limitrange`",
    ),
    Sign(
        r"violates PodSecurity \"([^\"]+)\": (.+)",
        "pod-security",
        "the namespace's pod security ({0}) refuses {subject}: {1}",
        "our pods fit `restricted`; what a webhook of the cluster adds to them does not",
    ),
    Sign(
        r"unable to validate against any security context constraint: (.+)",
        "scc-refused",
        "no security context constraint of OpenShift admits {subject}: {0}",
        "leave out --fs-group, or name a ServiceAccount that may use a wider constraint (--service-account)",
    ),
    Sign(
        r"serviceaccount \"([\w.-]+)\" not found",
        "service-account-missing",
        "there is no ServiceAccount {0}",
        "create it (`kubectl create serviceaccount {0}`), or name another with --service-account",
    ),
    Sign(
        r"failed calling webhook \"([^\"]+)\"",
        "webhook-unreachable",
        "the admission webhook {0} does not answer, so nothing can be created",
        "tell an administrator: its service is down or cannot be reached",
        fatal=False,
    ),
    Sign(
        r"ValidatingAdmissionPolicy '([^']+)'.* denied request: (.+)",
        "admission-denied",
        "the policy {0} refuses {subject}: {1}",
        "ask the administrator of the policy what it wants",
    ),
    Sign(
        r"admission webhook \"([^\"]+)\" denied the request: (.+)",
        "admission-denied",
        "the admission webhook {0} refuses {subject}: {1}",
        "ask the administrator of the webhook what it wants",
    ),
    Sign(
        r"no PriorityClass with name ([\w.-]+)",
        "priority-class-missing",
        "there is no PriorityClass {0}",
        "leave it out, or name one of `kubectl get priorityclass`",
    ),
)


def refused(message: str, *, subject: str = "the pod") -> Finding:
    """What *message*, the API's refusal of *subject*, means; its own words under ``unknown`` where nothing is known."""
    line = one_line(message).strip()
    found = texts.first(_SIGNS, line, subject)
    return found or Finding(
        cause="unknown",
        sentence=f"{subject} could not be created: {line or 'no reason was given'}",
        remedy="",
        evidence=(line,),
    )
