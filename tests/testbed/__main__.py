"""``python -m tests.testbed [PART …]``: prepare the real parts that tests talk to; all of them without a name."""

import sys

from tests.testbed import browser, image, minio

PARTS = {"minio": minio.prepare, "browser": browser.prepare, "image": image.ensure}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in names or PARTS:
        for sentence in PARTS[name]():
            print(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
