"""The engine of `lading pull` alone, with a choice of digest: transfer into a volume's staging, and no publishing.


The store's address and credentials come from the environment. The staged files, durable, are moved to TARGET/content.
"""

import argparse
import asyncio
import threading
from pathlib import Path

from lading import transfer
from lading.sources.s3 import S3Source
from lading.spec import ref as refs
from lading.transfer.hashing import FileHash, Mismatch
from lading.volume import find
from lading.weights import digests


class StoreDigest:
    """The digest that the store gives, or nothing; no SHA-256, so what it hashed can be listed in no manifest."""

    sha256 = "0" * 64

    def __init__(self, entry, said, *, name):
        self._name = name
        self._said = said.get(name) or entry.digests.get(name)
        self._hasher = digests.hasher(name, said, size_bytes=entry.size_bytes) if name != "none" else None
        if name != "none" and entry.size_bytes and self._said is None:
            raise SystemExit(f"the store gives no {name} for {entry.path}")

    def update(self, data):
        if self._hasher is not None:
            self._hasher.update(data)

    def mismatch(self):
        if self._hasher is None or self._said is None or self._hasher.hexdigest() == self._said.lower():
            return None
        return Mismatch(self._name, self._said, self._hasher.hexdigest())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target", type=Path)
    parser.add_argument("--digest", choices=["sha256", "crc64nvme", "none"], default="sha256")
    options = parser.parse_args()
    run(options)


def run(options):
    volume = find.create_volume(options.target)
    source = S3Source()
    listing = asyncio.run(source.resolve(refs.parse(options.source)))
    hashes = (
        FileHash if options.digest == "sha256" else lambda entry, said: StoreDigest(entry, said, name=options.digest)
    )
    meter = transfer.Meter(sum(entry.size_bytes for entry in listing.entries))
    with volume.stage("bench", "v1", "0" * 32) as staging:
        transfer.run(listing.entries, source, staging, cancel=threading.Event(), meter=meter, hashes=hashes)
        staging.directory.rename(options.target / "content")
    source.close()


if __name__ == "__main__":
    main()
