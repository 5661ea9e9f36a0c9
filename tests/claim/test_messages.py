"""What bad input to `lading claim` is told, without a cluster."""

import pytest
from tests.testbed import golden

CASES = {
    "no-size": ["create", "models"],
    "two-sizes": ["create", "models", "--size", "1Gi", "--for", "./x"],
    "size": ["create", "models", "--size", "big"],
    "access-mode": ["create", "models", "--size", "1Gi", "--access-mode", "RWZ"],
    "a-model": ["create", "pvc://models/granite", "--size", "1Gi"],
    "no-claim": ["inspect", "Models"],
    "two-namespaces": ["inspect", "pvc://a:models", "--namespace", "b"],
    "nothing-to-keep": ["retain"],
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_said_with_what_to_write(lading, case):
    argv = [*CASES[case], *(["--output", "yaml"] if CASES[case][0] == "create" else [])]
    golden.check("claim", case, golden.said(lading("claim", *argv, env={"KUBECONFIG": "/nonexistent"})))
