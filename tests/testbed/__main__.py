"""The real parts that tests talk to.

``python -m tests.testbed``            prepare all of them (build, install, download: minutes, the first time)
``python -m tests.testbed PART …``     prepare only these: see `PARTS`
``python -m tests.testbed image``      build Lading's image from this checkout and load it into the cluster that runs
``python -m tests.testbed up``         have a cluster that stays
``python -m tests.testbed status``     what of it runs
``python -m tests.testbed down``       end it, whoever started it, and every trace of it
"""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tests.testbed import (
    base,
    browser,
    cluster,
    disks,
    docker,
    engine,
    image,
    kserve,
    kube,
    minio,
    nginx,
    node,
    peers,
    sklearn_server,
)

#: Two rows that do not wait for each other: what Go builds takes the processor, what is installed takes the network.
BUILT = {"kubernetes": kube.prepare, "minio": minio.prepare, "kserve": kserve.prepare}
INSTALLED = {"node": node.prepare, "disks": disks.prepare, "docker": docker.prepare, "base": base.prepare, "browser": browser.prepare,
             "nginx": nginx.prepare, "peers": peers.prepare, "sklearnserver": sklearn_server.prepare}  # fmt: skip
PARTS = BUILT | INSTALLED


def prepare_all() -> list[str]:
    """Every part, and then the image that is made of them."""
    with ThreadPoolExecutor() as rows:
        working = [rows.submit(prepare, BUILT), rows.submit(prepare, INSTALLED)]
        for row in working:
            row.result()
    made = image.ensure() if cluster.missing() is None else [f"no cluster with a node here: {cluster.missing()}"]
    for lacking, ensure in ((engine.missing(), engine.ensure), (sklearn_server.missing_image(), sklearn_server.ensure)):
        made = [*made, *(ensure() if lacking is None else [f"no image: {lacking}"])]
    return made


def prepare(names: Iterable[str]) -> None:
    """These parts, one after the other; a sentence on each as it is there."""
    for name in names:
        print(*PARTS[name](), sep="\n", flush=True)


def down() -> list[str]:
    """End what runs of ours."""
    with image.alone():
        docker.down()
    return cluster.down()


COMMANDS = {"image": image.ensure, "up": cluster.up, "status": cluster.status, "down": down}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PARTS | COMMANDS]
    if unknown:
        print(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS | COMMANDS)}", file=sys.stderr)
        return 2
    for sentence in prepare_all() if not names else ():
        print(sentence)
    for name in names:
        print(*(PARTS | COMMANDS)[name](), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
