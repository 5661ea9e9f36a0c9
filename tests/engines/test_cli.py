"""`lading engines`, as a person and as a program read it."""

import json

import jsonschema
import pytest
from tests.testbed import golden

from lading import schemas

WRONG = {
    "unknown-engine": ["vlm"],
    "unknown-parameter": ["vllm", "--param", "kv_cach_dtype"],
    "another-engines-name": ["vllm", "--param", "tp_size"],
    "gone": ["vllm", "--param", "--swap-space"],
    "reserved": ["llama.cpp", "--param", "port"],
    "sglang-of-vllm": ["sglang", "--param", "max_num_seqs"],
    "sglang-gone": ["sglang", "--param", "--disable-cuda-graph"],
    "sglang-secret": ["sglang", "--param", "api-key"],
    "secret": ["vllm", "--param", "api-key"],
    "nothing-near": ["llama.cpp", "--param", "qqqqqqq"],
    "option": ["vllm", "--parm", "max_num_seqs"],
}
SHOWN = {
    "engines": [],
    "llamacpp-rules": ["llama.cpp", "--rules"],
    "llamacpp-search": ["llama.cpp", "--search"],
    "vllm-search": ["vllm", "--search"],
    "vllm-kv_cache_dtype": ["vllm", "--param", "kv_cache_dtype"],
    "vllm-tp": ["vllm", "--param", "-tp"],
    "sglang-search": ["sglang", "--search"],
    "sglang-rules": ["sglang", "--rules"],
    "sglang-tp": ["sglang", "--param", "--tensor-parallel-size"],
    "llamacpp-n_parallel": ["llama.cpp", "--param", "n_parallel"],
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_nearest_right(case, lading):
    done = lading("engines", *WRONG[case])
    assert done.returncode == 2
    assert done.stdout == ""
    golden.check("engines", case, golden.said(done))


@pytest.mark.parametrize("case", SHOWN)
def test_what_is_shown(case, lading):
    done = lading("engines", *SHOWN[case])
    assert (done.returncode, done.stderr) == (0, "")
    golden.check("engines", case, done.stdout)


@pytest.mark.parametrize(
    ("arguments", "schema", "least"),
    [
        ([], "engine", 2),
        (["vllm"], "engine-parameter", 300),
        (["sglang"], "engine-parameter", 500),
        (["llama.cpp", "--search"], "engine-parameter", 15),
        (["vllm", "--rules"], "engine-rule", 20),
        (["vllm", "--param", "--max-num-seqs"], "engine-parameter", 1),
    ],
)
def test_json_is_one_document_per_line_by_its_schema(arguments, schema, least, lading):
    done = lading("engines", *arguments, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(documents) >= least
    validator = jsonschema.Draft202012Validator(schemas.schema(schema))
    for document in documents:
        validator.validate(document)
