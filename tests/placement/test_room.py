"""Where a pod would fit, over listed nodes and pods: counted as the scheduler counts, and said of every node why not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.placement import choosing_nodes, pod_requests, quantity, room


def node(name, labels=None, taints=(), **allocatable):
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110", **named(allocatable)}},
    }


def named(amounts):
    return {{"gpu": "nvidia.com/gpu", "amd": "amd.com/gpu"}.get(key, key): value for key, value in amounts.items()}


def pod(name, on=None, phase="Running", namespace="team", **requests):
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**asking(**requests), **({"nodeName": on} if on else {})},
        "status": {"phase": phase},
    }


def asking(*, node_selector=None, tolerations=(), **limits):
    return {
        "containers": [{"name": "server", "resources": {"limits": named(limits)}}],
        "nodeSelector": node_selector or {}, "tolerations": list(tolerations),
    }  # fmt: skip


def fit(spec, nodes, pods=()):
    return room.fit(spec, room.by_node(nodes, pods))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2", 2), ("500m", Decimal("0.5")), ("16Gi", 16 * 2**30), ("1k", 1000), ("1e3", 1000), ("1.5Gi", 3 * 2**29),
     ("100n", Decimal("1e-7")), (4, 4), ("1E", 10**18), (".5", Decimal("0.5"))],
)  # fmt: skip
def test_a_quantity_is_a_number(text, expected):
    assert quantity.number(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1Kx", "1 Gi", "nan", "1e999", "--1", "1GiB"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.number(text)


def test_a_pod_requests_what_the_scheduler_counts():
    """Containers and sidecars together, init containers one by one beside the sidecars before them, overhead on top."""
    gpu = lambda count, **more: {"resources": {"limits": {"nvidia.com/gpu": count}}, **more}  # noqa: E731
    spec = {
        "initContainers": [gpu(1, restartPolicy="Always"), gpu(5)],
        "containers": [gpu(2), gpu(1)],
        "overhead": {"cpu": "250m"},
    }
    assert pod_requests.of(spec) == {"nvidia.com/gpu": 6, "cpu": Decimal("0.25"), "pods": 1}
    spec["initContainers"].reverse()  # the big one runs before the sidecar now
    assert pod_requests.of(spec)["nvidia.com/gpu"] == 5


def test_a_limit_is_a_request_and_a_request_stands_above_it():
    container = {"resources": {"limits": {"memory": "2Gi", "cpu": "2"}, "requests": {"cpu": "1"}}}
    assert pod_requests.of({"containers": [container]}) == {"memory": 2**31, "cpu": 1, "pods": 1}


def test_gpus_of_a_node_are_what_is_left_of_each_resource():
    (one,) = room.by_node(
        [node("a", **{"gpu": "8", "amd": "2", "nvidia.com/mig-1g.10gb": "7", "example.com/fpga": "1"})],
        [pod("x", on="a", gpu=3), pod("y", on="a", gpu=1, phase="Succeeded"), pod("z", gpu=4)],
    )
    assert one.gpus == {"amd.com/gpu": (2, 2), "nvidia.com/gpu": (5, 8), "nvidia.com/mig-1g.10gb": (7, 7)}


def test_it_fits_where_enough_is_left_and_the_fullest_comes_first():
    nodes = [node("a", gpu="8"), node("b", gpu="4"), node("c", gpu="2")]
    found = fit(asking(gpu=3), nodes, [pod("x", on="a", gpu=4), pod("y", on="b", gpu=1)])
    assert found.nodes == ("b", "a")
    assert [one.node for one in found.refusals] == ["c"]


def test_who_has_the_gpus_is_named():
    pods = [pod(f"s{number}", on="a", gpu=number) for number in (1, 2, 1, 3)]
    for number, one in enumerate(pods):
        one["metadata"]["name"] += f"-{number}"
    spec = asking(gpu=4)
    found = fit(spec, [node("a", gpu="8"), node("b", gpu="2"), node("c")], pods)
    assert found.busy
    assert room.told(found, spec) == (
        "no node takes a pod with 4 nvidia.com/gpu: a: 1 of 8 nvidia.com/gpu are free (taken by team/s3-3 3, "
        "team/s2-1 2, team/s1-0 1 and 1 more pods); b: it has 2 nvidia.com/gpu; c: it has no nvidia.com/gpu"
    )
    assert room.remedy(found).startswith("wait until something else ends")


def test_a_resource_that_no_node_has_is_told_with_those_there_are():
    spec = asking(gpu=1)
    found = fit(spec, [node("a", amd="8"), node("b", **{"nvidia.com/mig-1g.10gb": "7"}), node("c")])
    assert room.remedy(found) == "the cluster offers amd.com/gpu, nvidia.com/mig-1g.10gb"
    assert room.told(found, spec) == "no node takes a pod with 1 nvidia.com/gpu: a, b, c: it has no nvidia.com/gpu"


@pytest.mark.parametrize(
    ("tolerations", "fits"),
    [
        ([], False),
        ([{"key": "nvidia.com/gpu", "operator": "Exists"}], True),
        ([{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}], False),
        ([{"key": "nvidia.com/gpu", "value": "yes", "effect": "NoSchedule"}], True),
        ([{"key": "nvidia.com/gpu", "value": "no"}], False),
        ([{"operator": "Exists"}], True),
    ],
)
def test_a_taint_keeps_a_pod_off_unless_tolerated(tolerations, fits):
    taints = [{"key": "nvidia.com/gpu", "value": "yes", "effect": "NoSchedule"}]
    found = fit(asking(gpu=1, tolerations=tolerations), [node("a", gpu="1", taints=taints)])
    assert bool(found.nodes) is fits
    if not fits:
        assert found.refusals[0].reason == "it has the taint nvidia.com/gpu=yes:NoSchedule"


def test_a_cordoned_node_and_one_that_is_not_ready_say_so():
    cordoned, lost = node("a", gpu="1"), node("b", gpu="1", taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])  # fmt: skip
    cordoned["spec"]["unschedulable"] = True
    found = fit(asking(gpu=1), [cordoned, lost])
    assert [one.reason for one in found.refusals] == ["it is cordoned", "it is not ready"]
    assert not found.busy


def test_a_preference_is_no_taint_that_keeps_off():
    soft = node("a", gpu="1", taints=[{"key": "spot", "effect": "PreferNoSchedule"}])
    assert fit(asking(gpu=1), [soft]).nodes == ("a",)


def test_a_node_selector_chooses():
    spec = asking(gpu=1, node_selector={"zone": "x"})
    found = fit(spec, [node("a", {"zone": "x"}, gpu="1"), node("b", {"zone": "y"}, gpu="1")])
    assert (found.nodes, found.refusals[0].reason) == (("a",), "it lacks the label zone=x")


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "size", "operator": "In", "values": ["8", "4"]}, True),
        ({"key": "size", "operator": "NotIn", "values": ["8"]}, False),
        ({"key": "other", "operator": "NotIn", "values": ["8"]}, True),
        ({"key": "size", "operator": "Exists"}, True),
        ({"key": "size", "operator": "DoesNotExist"}, False),
        ({"key": "size", "operator": "Gt", "values": ["7"]}, True),
        ({"key": "size", "operator": "Lt", "values": ["8"]}, False),
        ({"key": "other", "operator": "Gt", "values": ["7"]}, False),
    ],
)
def test_affinity_chooses_as_the_scheduler_reads_it(expression, matches):
    selector = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    assert choosing_nodes.selected(selector, node("a", {"size": "8"})) is matches
    spec = {**asking(), "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}}
    assert bool(fit(spec, [node("a", {"size": "8"})]).nodes) is matches


def test_a_field_of_affinity_names_a_node_and_an_empty_term_none():
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    assert choosing_nodes.selected({"nodeSelectorTerms": [{}, by_name]}, node("a"))
    assert not choosing_nodes.selected({"nodeSelectorTerms": [{}, by_name]}, node("b"))


def test_without_the_pods_nothing_is_taken_off_and_that_is_said():
    found = room.fit(asking(gpu=8), room.by_node([node("a", gpu="8")], None))
    assert found.nodes == ("a",)
    assert "may not be listed" in found.unknown


def test_what_a_replaced_pod_has_is_free_for_the_new_one():
    """With `Recreate` the old pod goes first: its GPUs are the new one's."""
    nodes, pods = [node("a", gpu="4")], [pod("old", on="a", gpu=4)]
    rooms = room.by_node(nodes, pods)
    assert not room.fit(asking(gpu=4), rooms).nodes
    assert room.fit(asking(gpu=4), room.without(rooms, {"team/old"})).nodes == ("a",)
    assert not room.fit(asking(gpu=4), room.without(rooms, {"other/old"})).nodes
    assert room.without(room.by_node(nodes, None), {"team/old"})[0].requested is None


def test_memory_is_counted_like_gpus():
    spec = asking(gpu=1, memory="24Gi")
    found = fit(spec, [node("a", gpu="8")], [pod("x", on="a", memory="16Gi")])
    assert room.told(found, spec) == (
        "no node takes a pod with 1 nvidia.com/gpu and 24 GiB memory: "
        "a: 16 GiB of 32 GiB memory are free (taken by team/x 16 GiB)"
    )


@given(
    st.lists(st.tuples(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4)), max_size=5),
    st.integers(1, 8),
)
def test_every_node_is_either_chosen_with_room_or_refused_with_a_reason(nodes, count):
    listed = [node(f"n{number}", gpu=str(have)) for number, (have, _) in enumerate(nodes)]
    pods = [pod(f"p{at}-{number}", on=f"n{at}", gpu=taken) for at, (_, held) in enumerate(nodes) for number, taken in enumerate(held)]  # fmt: skip
    found = fit(asking(gpu=count), listed, pods)
    assert sorted([*found.nodes, *(one.node for one in found.refusals)]) == sorted(f"n{at}" for at in range(len(nodes)))
    for at, (have, held) in enumerate(nodes):
        assert (f"n{at}" in found.nodes) == (have - sum(held) >= count)
        kind = next((one.kind for one in found.refusals if one.node == f"n{at}"), None)
        assert (kind == "small") == (have < count)
