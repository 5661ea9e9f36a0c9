"""Where destinations under test write to: a folder, a prefix in a bucket of a real MinIO."""

import itertools
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from lading.sources.folder_upload import FolderDestination
from lading.sources.s3_upload import S3Destination
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef


@dataclass
class FolderPlace:
    root: Path
    kind: type[FolderDestination] = FolderDestination

    def destination(self):
        return self.kind(self.root)

    def seen(self):
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in files}


@dataclass
class BucketPlace:
    minio: object
    kind: type[S3Destination] = S3Destination
    bucket: str = field(default_factory=lambda: f"b-{uuid.uuid4().hex[:12]}")
    prefix: str = "llm/granite/"

    def __post_init__(self):
        self.minio.bucket(self.bucket, {"llm/granite-2/other.bin": b"a sibling", "llm/granite.json": b"another"})

    def destination(self):
        ref = SourceRef(scheme="s3", location=f"{self.bucket}/{self.prefix}")
        return self.kind(ref, choices=Choices(endpoint=self.minio.endpoint))

    def seen(self):
        """As KServe's initializer sees them: all keys that begin with the prefix, its last slash left out."""
        client = self.minio.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix.rstrip("/"))
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        ours = itertools.filterfalse({"llm/granite-2/other.bin", "llm/granite.json"}.__contains__, keys)
        return {
            key.removeprefix(self.prefix): client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in ours
        }
