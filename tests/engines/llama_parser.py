"""llama.cpp's own argument parser, out of the xllamacpp library: what `llama-server` makes of its flags.

Run as a script, it reads a JSON list of ``[[flag, …], document, [attribute path, …]]`` from stdin and prints, for each, the attributes
as they are after the flags were parsed, and after the launcher applied the document. The parser is C++
(`common_params_parse`) and writes into the memory of a `CommonParams` object; its first field is `n_predict`.
"""

import ctypes
import importlib.util
import json
import struct
import sys
from pathlib import Path

import xllamacpp

#: `LLAMA_EXAMPLE_SERVER` of common/common.h.
SERVER = 12
SYMBOL = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"


def parser():
    """The parser, None where the library does not offer it under the name, or in the layout, that is known."""
    library = ctypes.CDLL(str(next(Path(xllamacpp.__file__).parent.glob("xllamacpp*.so"))))
    parse = getattr(library, SYMBOL, None)
    probe = xllamacpp.CommonParams()
    probe.n_ctx = 0x5A5A1234
    at = ctypes.string_at(id(probe), type(probe).__basicsize__).find(struct.pack("<ii", -1, 0x5A5A1234))
    if parse is None or at < 0:
        return None
    parse.restype = ctypes.c_bool
    parse.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p), ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]

    def run(flags):
        params = xllamacpp.CommonParams()
        words = [word.encode() for word in ("llama-server", *flags)]
        ok = parse(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None), id(params) + at, SERVER, None)
        return params if ok else None

    return run


def launcher():
    """Our launcher script, as a module."""
    path = Path(importlib.util.find_spec("lading.backends").submodule_search_locations[0]) / "xllamacpp_server.py"
    spec = importlib.util.spec_from_file_location("xllamacpp_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(params, path):
    for part in path.split("."):
        params = getattr(params, part)
    if isinstance(params, set | frozenset):
        return sorted(params)
    return [str(item) for item in params] if isinstance(params, list) else str(params)


def main():
    parse, script = parser(), launcher()
    if parse is None:
        print(json.dumps(None))
        return
    answers = []
    for flags, document, paths in json.load(sys.stdin):
        by_flags = parse(flags)
        by_document = None if document is None else xllamacpp.CommonParams()
        for path, value in (document or {}).items():
            script._assign(xllamacpp, by_document, path, value)
        answers.append([params and {path: read(params, path) for path in paths} for params in (by_flags, by_document)])
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
