"""Watches and logs under faults at random: whoever follows has, in the end, what the server has."""

import asyncio
import os
import random
from contextlib import aclosing

import pytest

from lading.cluster import logs, session, watch
from lading.cluster.client import Cluster
from lading.cluster.kinds import CONFIG_MAP
from lading.cluster.retry import Patience
from lading.testing.cluster import FakePlace, config_map, read, value
from lading.testing.fake_cluster import FakeCluster

SEEDS = range(200 if os.environ.get("LADING_SOAK") else 6)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    """Faults come a hundred times faster here than anywhere; so do the tries."""
    for place, name in ((watch, "LONG"), (logs, "LONG"), (session, "_SEEN"), (session, "_UNSEEN")):
        monkeypatch.setattr(place, name, Patience(first_s=0.002, longest_s=0.05, total_s=60))


async def followed(cluster, state):
    """Fold the changes until the object ``z-end`` comes; an impossible change is a failure."""
    async with aclosing(cluster.watch(CONFIG_MAP)) as changes:
        async for change in changes:
            name = change.object["metadata"]["name"]
            if name == "z-end":
                return
            match change.type:
                case "added":
                    assert name not in state
                case "modified":
                    assert state[name]["metadata"]["uid"] == change.object["metadata"]["uid"]
                    assert state[name]["metadata"]["resourceVersion"] != change.object["metadata"]["resourceVersion"]
                case "deleted":
                    state.pop(name)
                    continue
            state[name] = change.object


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_watch_leads_to_what_is_there(seed):
    draw, state = random.Random(seed), {}
    async with FakeCluster() as fake, Cluster(fake.connection()) as cluster, Cluster(fake.connection()) as other:
        following = asyncio.create_task(followed(cluster, state))
        for _ in range(60):
            await changed(other, f"m{draw.randrange(4)}", draw)
            await disturbed(fake, draw)
        await other.create(config_map("z-end"))
        async with asyncio.timeout(60):
            await following
        there = {item["metadata"]["name"]: item for item in await other.list(CONFIG_MAP)}
        del there["z-end"]
        assert state == there


async def changed(cluster, name, draw):
    """Make, change or delete one of a few."""
    found = await cluster.find(CONFIG_MAP, name)
    if found is None:
        await cluster.create(config_map(name))
    elif draw.random() < 0.4:
        await cluster.delete(CONFIG_MAP, name)
    else:
        await cluster.patch(CONFIG_MAP, name, {"data": {"a": str(int(value(found)) + 1)}})


async def disturbed(fake, draw):
    """One fault in three turns."""
    match draw.randrange(18):
        case 0:
            fake.cut_watches()
        case 1:
            fake.forget()
            fake.cut_watches()
        case 2:
            fake.plant("GET watch=true", status=draw.choice([410, 429, 500, 503]))
            fake.cut_watches()
        case 3:
            fake.plant("GET configmaps?", lost=draw.choice(["before", "after"]))
            fake.cut_watches()
        case 4:
            fake.junk = b'{"type": "ADDED", "object": {"metadata"'
            fake.cut_watches()
        case 5:
            fake.plant("POST configmaps", lost=draw.choice(["before", "after"]))
        case _:
            await asyncio.sleep(0.001 * draw.randrange(4))


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_log_is_whole(seed):
    draw = random.Random(seed)
    async with FakeCluster() as fake, Cluster(fake.connection()) as cluster:
        place = FakePlace(fake)
        await place.runs("worker", cut_after=sorted(draw.sample(range(1, 120), 8)))
        reading = asyncio.create_task(read(cluster, "worker"))
        texts = [draw.choice(["same", f"line {number}", ""]) for number in range(120)]
        for start in range(0, len(texts), 7):
            await fake.write("default", "worker", *texts[start : start + 7])
            if draw.random() < 0.2:
                fake.cut_watches()
            if draw.random() < 0.2:
                fake.plant("GET /log", status=draw.choice([500, 503, 429]))
            await asyncio.sleep(0.001 * draw.randrange(30))
        await place.ends("worker")
        async with asyncio.timeout(60):
            assert await reading == texts
