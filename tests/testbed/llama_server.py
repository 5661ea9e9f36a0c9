#!/usr/bin/python3
"""`llama-server` of the engine image: takes its flags, as our catalogue has them, and runs llama.cpp's server by xllamacpp.

Nobody publishes `llama-server` where a test machine can fetch it; the wheel of xllamacpp is the same server. Flags that
it does not know are refused as llama-server refuses them.
"""

import json
import sys

import xllamacpp_server

from lading.engines import values
from lading.engines.llamacpp_parameters import ATTRIBUTES, PARAMETERS, Cores

_OWN = {"--model": "model.path", "-m": "model.path", "--alias": "model_alias", "-a": "model_alias",
        "--host": "hostnames", "--port": "port"}  # fmt: skip
_FLAGS = {flag: parameter for parameter in PARAMETERS.values() for flag in parameter.flags}
_OFF = {flag: parameter for parameter in PARAMETERS.values() for flag in parameter.off_flags}
_WORDED = ("fit", "cpu_strict")


def main(words):
    if {"--help", "-h"} & set(words):
        return usage()
    if len(words) == 1 and words[0].startswith("{"):  # attributes as they are: what no catalogue would let through
        return xllamacpp_server.main(words[0])
    document = {}
    left = iter(words)
    for flag in left:
        if flag in _OWN:
            document[_OWN[flag]] = own(flag, next(left))
        elif flag in _OFF:
            document |= written(_OFF[flag], False)
        elif flag in _FLAGS:
            parameter = _FLAGS[flag]
            switch = parameter.kind == "bool" and parameter.name not in _WORDED
            document |= written(parameter, True if switch else value(parameter, next(left)))
        else:
            sys.stderr.write(f"error: invalid argument: {flag}\n")
            return 1
    return xllamacpp_server.main(json.dumps(document))


def own(flag, word):
    if flag in ("--model", "-m"):
        return word
    return int(word) if flag == "--port" else [word]


def value(parameter, word):
    return values.read(parameter, word.split(",") if parameter.many else word)


def written(parameter, value):
    attribute = ATTRIBUTES.get(parameter.name)
    if attribute is None:
        return {}
    return attribute.write(value) if isinstance(attribute, Cores) else {attribute.path: attribute.write(value)}


def usage():
    for parameter in PARAMETERS.values():
        names = ", ".join((*parameter.flags, *parameter.off_flags))
        word = "" if parameter.kind == "bool" and parameter.name not in _WORDED else " N"
        print(f"{names}{word}  {parameter.help}")
    return 0


if __name__ == "__main__":
    sys.tracebacklimit = 0
    sys.exit(main(sys.argv[1:]))
