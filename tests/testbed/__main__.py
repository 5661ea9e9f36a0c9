"""The real parts that tests talk to.

``python -m tests.testbed``            prepare all of them (build, install, download: minutes, the first time)
``python -m tests.testbed PART …``     prepare minio, browser, cluster, kserve
``python -m tests.testbed image``      build Lading's image from this checkout and load it into the cluster that runs
``python -m tests.testbed up``         have a cluster that stays
``python -m tests.testbed status``     what of it runs
``python -m tests.testbed down``       end it, whoever started it, and every trace of it
"""

import sys

from tests.testbed import browser, cluster, docker, image, kserve, minio

PARTS = {"minio": minio.prepare, "browser": browser.prepare, "cluster": cluster.prepare, "kserve": kserve.prepare}


def down() -> list[str]:
    """End what runs of ours."""
    docker.down()
    return cluster.down()


COMMANDS = {"image": image.ensure, "up": cluster.up, "status": cluster.status, "down": down}


def main(names: list[str]) -> int:
    known = PARTS | COMMANDS
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"unknown part {unknown[0]!r}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or PARTS:
        for sentence in known[name]():
            print(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
