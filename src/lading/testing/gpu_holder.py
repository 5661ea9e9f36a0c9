"""A process that holds memory of a GPU until its input ends: ``python -m lading.testing.gpu_holder UUID BYTES``.

It asks CUDA's driver itself, and needs no other package. It prints one line when it holds the memory.
"""

import ctypes
import os
import sys


def hold(uuid: str | None, size_bytes: int) -> ctypes.CDLL:
    """Allocate *size_bytes* on the GPU *uuid*; None: on the first that ``CUDA_VISIBLE_DEVICES`` leaves.

    Raises:
        OSError: CUDA says no.
    """
    if uuid is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    _check(cuda.cuInit(0), "cuInit")
    _check(cuda.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
    _check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "cuDevicePrimaryCtxRetain")
    _check(cuda.cuCtxSetCurrent(context), "cuCtxSetCurrent")
    _check(cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(size_bytes)), "cuMemAlloc")
    return cuda


def _check(code: int, what: str) -> None:
    if code != 0:
        raise OSError(f"{what} gives {code}")


def main() -> None:
    """Hold, say so, and wait."""
    uuid, size_bytes = sys.argv[1:]
    hold(uuid, int(size_bytes))
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
