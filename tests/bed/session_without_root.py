"""A test session of a user who is not root; run by `test_cluster.py`."""


def test_the_api_is_there_without_a_node(control_plane):
    assert control_plane.node is None
    assert control_plane.api.get("/version")["minor"] == "34"


def test_what_needs_a_node_is_skipped(cluster):
    raise AssertionError("a node without root")
