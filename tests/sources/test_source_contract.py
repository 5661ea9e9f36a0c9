"""Every source keeps the contract: a folder, a web server with and without what servers may lack, a real MinIO."""

import pytest
from tests.sources.origins import BucketOrigin, FolderOrigin, WebOrigin

from lading.testing import web
from lading.testing.sources import SourceContract


class TestFolder(SourceContract):
    @pytest.fixture
    def origin(self, tmp_path):
        folder = tmp_path / "model"
        folder.mkdir()
        return FolderOrigin(folder)


class TestWeb(SourceContract):
    @pytest.fixture
    def origin(self):
        with web.serving() as server:
            yield WebOrigin(server)


class TestWebWithoutRangesOrHead(SourceContract):
    @pytest.fixture
    def origin(self):
        with web.serving() as server:
            server.ranges = server.heads = False
            yield WebOrigin(server)


class TestWebWithoutLengthsAndWithWeakMarks(SourceContract):
    @pytest.fixture
    def origin(self):
        with web.serving() as server:
            server.chunked = server.weak = True
            yield WebOrigin(server)


@pytest.mark.real("minio")
class TestBucket(SourceContract):
    @pytest.fixture
    def origin(self, minio_environment):
        return BucketOrigin(minio_environment)
