"""What KServe's storage initializer does for s3://, by its facts: list a prefix with a boto3 resource, then
`download_file` for each object in four processes. Empty objects are left out there; the benchmark has none.

    python benchmarks/kserve_way.py BUCKET PREFIX TARGET
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

FILES_AT_ONCE = 4


def resource():
    config = Config(connect_timeout=15, read_timeout=30, retries={"max_attempts": 3, "mode": "standard"})
    return boto3.resource("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config)


def download(job):
    bucket, key, path = job
    path.parent.mkdir(parents=True, exist_ok=True)
    resource().Bucket(bucket).download_file(key, str(path))


def main(bucket, prefix, target):
    found = resource().Bucket(bucket).objects.filter(Prefix=prefix)
    jobs = [(bucket, one.key, Path(target) / one.key[len(prefix) :].lstrip("/")) for one in found if one.size]
    with ProcessPoolExecutor(FILES_AT_ONCE) as pool:
        list(pool.map(download, jobs))


if __name__ == "__main__":
    main(*sys.argv[1:])
