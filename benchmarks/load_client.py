"""CPU of the load client, whole process, beside a plain aiohttp client on the same work, in one run.

    python benchmarks/load_client.py [--rounds 3] [--requests 1000] [--streams 32]

The truth server answers chat requests with 64 tokens (first after 50 ms, then one every 10 ms). Each round starts both
clients as programs of their own, one after the other, in turn first; CPU is what the operating system says of the whole
process, from its start to its exit, tables and files included. Figures are judged against what the server really sent.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import psutil

from lading.testing import truth

TOKENS = 64
WORDS = ["the", "value", "object", "class", "method", "statement", "call", "name", "argument", "function", "type"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        import uvloop

        print(uvloop.run(peer(given.peer, given.requests, given.streams)))
        return
    with truth.running(ttft_ms=50, itl_ms=10) as server:
        rounds = [one_round(server, given, number) for number in range(given.rounds)]
    for name in ("lading", "aiohttp"):
        runs = [run[name] for run in rounds]
        print(f"{name:8} CPU-s per 1,000 requests {each(runs, 'cpu_s')}; TTFT p50 off by ms {each(runs, 'off_ms')}; "
              f"foreign CPUs {each(runs, 'foreign')}")  # fmt: skip
    ratios = [run["aiohttp"]["cpu_s"] / run["lading"]["cpu_s"] for run in rounds]
    print(f"aiohttp / lading, per round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def each(runs, key):
    values = [run[key] for run in runs]
    return f"{statistics.median(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})"


def one_round(server, given, number):
    clients = {"lading": ours, "aiohttp": theirs}
    order = list(clients) if number % 2 == 0 else list(clients)[::-1]
    return {name: measured(server, given, clients[name]) for name in order}


def measured(server, given, client):
    """CPU seconds per 1,000 requests, and how far the client's median TTFT is from what the server sent."""
    server.forget()
    before, began = sum(psutil.cpu_times()[i] for i in (0, 1, 2)), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        argv, figure = client(server.url, given, Path(folder))
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, output
        ttft_s = figure(output, Path(folder))
    stats = server.stats()
    assert stats["answered"] == given.requests, stats
    cpu_s = used.ru_utime + used.ru_stime
    busy = sum(psutil.cpu_times()[i] for i in (0, 1, 2)) - before - cpu_s - stats["cpu_s"]
    return {
        "cpu_s": cpu_s * 1000 / given.requests,
        "off_ms": (ttft_s - stats["ttft_s"]["p50"]) * 1000,
        "foreign": max(0.0, busy / (time.monotonic() - began)),
    }


def ours(url, given, folder):
    argv = [
        sys.executable, "-m", "lading", "bench", url, "--levels", str(given.streams), "--requests", str(given.requests),
        "--scenario", f"D(50,{TOKENS})", "--api", "chat", "--warmup", "0", "--model", "truth", "--out", str(folder / "out"),
    ]  # fmt: skip

    def figure(_output, folder):
        result = json.loads((folder / "out" / "summary.json").read_text())
        return result["levels"][0]["summary"]["ttft_s"]["issued"]["p50"]["value"]

    return argv, figure


def theirs(url, given, _folder):
    argv = [sys.executable, __file__, "--peer", url, "--requests", str(given.requests), "--streams", str(given.streams)]
    return argv, lambda output, _folder: float(output)


async def peer(url, requests, streams):
    """What one writes first: an aiohttp session on uvloop, lines split and parsed as they come. Its median TTFT."""
    import aiohttp

    ttfts, gaps, left = [], [], iter(range(requests))

    async def stream(session):
        for index in left:
            body = {
                "model": "truth", "stream": True, "max_tokens": TOKENS, "stream_options": {"include_usage": True},
                "messages": [{"role": "user", "content": " ".join([str(index), *WORDS * 4])}],
            }  # fmt: skip
            times, sent = [], time.monotonic()
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        choices = json.loads(line[6:])["choices"]
                        if choices and choices[0]["delta"].get("content"):
                            times.append(time.monotonic())
            ttfts.append(times[0] - sent)
            gaps.extend(after - before for before, after in pairwise(times))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=streams)) as session:
        await asyncio.gather(*(stream(session) for _ in range(streams)))
    return statistics.median(ttfts)


if __name__ == "__main__":
    main()
