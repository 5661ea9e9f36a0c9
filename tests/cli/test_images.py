"""`lading images`: nothing that a command pulls is missing from the list, so that a mirror of it is enough."""

import importlib
import inspect
import json
import re
from pathlib import Path

from cyclopts import App

from lading import wiring
from lading.cli import images
from lading.cli.app import COMMANDS
from lading.manifests import compose, deployment, kserve
from lading.manifests.target import ModelPlace, Target

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def test_the_base_is_the_one_of_the_dockerfile():
    assert re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)[1] == images.BASE


def test_every_engine_s_image_is_listed_as_manifests_write_it():
    listed = {one.image for one in images.needed()}
    for name in wiring.names("engines"):
        engine = wiring.engine(name)
        target = Target(name="x", served_name="x", engine=engine, params={}, model=ModelPlace(host_path="/m", claim_path="m", file="m.gguf"))  # fmt: skip
        for text in (compose.docker_compose(target), deployment.deployment(target), kserve.inference_service(target)):
            assert set(re.findall(r"image: \"?([^\"\s]+)", text)) <= listed


def test_our_image_is_the_one_of_the_environment_or_the_option(lading):
    assert images.needed("registry.local/lading:1")[0].image == "registry.local/lading:1"
    listed = lading("images", "pull", "--format", "json", env={"LADING_IMAGE": "mirror.local/lading:2"})
    assert [json.loads(line)["image"] for line in listed.stdout.splitlines()] == ["mirror.local/lading:2"]


def test_every_command_that_starts_pods_is_said_to_use_our_image():
    """Those are the commands that can be told which cluster and image; `claim` and `jobs` have commands of their own."""
    found = {"claim", "jobs"}
    for name, (path, _, _) in COMMANDS.items():
        module, _, function = path.partition(":")
        command = getattr(importlib.import_module(module), function)
        if not isinstance(command, App) and "where" in inspect.signature(command).parameters:
            found.add(name)
    assert set(images.ON_CLAIMS) == found


def test_an_unknown_command_is_said_with_the_nearest(lading):
    result = lading("images", "pul")
    assert (result.returncode, "did you mean `lading images pull`?" in result.stderr) == (2, True)
    assert lading("images", "serve").stdout == ""
