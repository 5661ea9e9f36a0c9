"""A prefix of an S3 bucket as the destination of a push: uploads in parts, each refused by the store where a byte is wrong.

Every request is signed for itself. What is sent carries its CRC-64/NVME, which AWS and MinIO compare before they accept it; a
store that does not answer with it (it did not compare) is sent the same again with its MD5, which all of them compare.
"""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from lading.errors import Cancelled, SourceChanged, SourceDenied, SourceError, SourceMissing, SourceTransient
from lading.ports.destination import Cancel, SentPart
from lading.sources import get, s3_checksums, s3_listing
from lading.sources import s3_signing as signing
from lading.sources.connection import Connection, Get, faults
from lading.sources.per_thread import PerThread
from lading.sources.s3_access import Access
from lading.sources.s3_place import Place
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import SourceRef
from lading.weights import beside, names, pushing
from lading.weights.crc import crc64nvme
from lading.weights.pushing import Held

PIECE_BYTES = 1 << 16
"""What a socket's time-out is for: slower than 13 kB/s is silence."""
_CRC = "x-amz-checksum-crc64nvme"
_OTHER_BYTES = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "IncompleteBody"})
#: Of an upload that asks for a checksum the store does not know.
_UNKNOWN_CHECKSUM = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented"})


class S3Destination:
    """Writes below ``s3://bucket/prefix/``; *choices* as `S3Source` takes them.

    Raises:
        InvalidInput: As `Access`.
    """

    def __init__(self, ref: SourceRef, *, choices: Choices = PLAIN) -> None:
        self._bucket, _, prefix = ref.location.partition("/")
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._access = Access(choices)
        self._connections: PerThread[Connection] = PerThread()
        self._by_md5 = threading.Event()

    @property
    def shown(self) -> str:
        """``s3://bucket/prefix/``."""
        return f"s3://{self._bucket}/{self._prefix}"

    def files(self) -> Mapping[str, Held]:
        """The objects below the prefix, by what follows it."""
        with self._access.faults(self.shown, missing=self._no_bucket):
            stored = list(s3_listing.below(self._access, self._bucket, self._prefix))
        found = (
            Held(path=item.key.removeprefix(self._prefix), size_bytes=item.size_bytes, etag=item.etag)
            for item in stored
        )
        return {held.path: held for held in found if not beside.is_ours(held.path)}

    def digests(self, path: str) -> Mapping[str, str]:
        """What the store keeps: the CRC of all bytes, where it was uploaded with one, and the ETag."""
        answer = self._head(path)
        tag = s3_checksums.etag(answer)
        return {**s3_checksums.of_all_bytes(answer), **({"etag": tag} if tag and "-" not in tag else {})}

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        """By a range of its own; see `lading.ports.destination.Destination.read_into`."""
        if not buffer:
            return 0
        asked = self._access.request("GET", self._place(path))
        headers = {**asked.headers, "Range": f"bytes={offset}-{offset + len(buffer) - 1}"}
        connection = self._connection()
        answer = connection.send(asked, headers)
        if answer.status == 416:
            answer.read()
            return 0
        get.check_status(answer.status, get.refusal(answer, asked.shown), asked.shown, answer.headers)
        with faults(asked.shown):
            return answer.readinto(buffer)

    def put(self, path: str, data: memoryview, *, cancel: Cancel | None = None) -> Held:
        """One object by one request."""
        answer = self._checked(self._place(path), {}, data, cancel)
        return Held(path=path, size_bytes=len(data), etag=answer["etag"])

    def begin(self, path: str, size_bytes: int | None) -> str:
        """A multipart upload, of which the store is to keep a CRC of all bytes."""
        del size_bytes
        return self._begin(self._place(path))

    def _begin(self, place: Place) -> str:
        create = partial(
            self._access.client.create_multipart_upload, Bucket=place.bucket, Key=place.key, **self._access.paid
        )
        with self._access.faults(str(place), missing=self._no_bucket):
            try:
                found = create(**self._kept())
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _UNKNOWN_CHECKSUM or self._by_md5.is_set():
                    raise
                self._by_md5.set()
                found = create()
        return str(found["UploadId"])

    def send(
        self, path: str, upload: str, number: int, data: memoryview, *, offset: int, cancel: Cancel | None = None
    ) -> SentPart:
        """See `lading.ports.destination.Destination.send`."""
        del offset  # the number says it
        query = {"partNumber": str(number), "uploadId": upload}
        answer = self._checked(self._place(path), query, data, cancel)
        return SentPart(
            number=number, size_bytes=len(data), etag=answer["etag"], crc64nvme=crc64nvme(data)
        )  # fmt: skip

    def parts(self, path: str, upload: str) -> Mapping[int, SentPart] | None:
        """As the store lists them."""
        place = self._place(path)
        pages = self._access.client.get_paginator("list_parts").paginate(
            Bucket=place.bucket, Key=place.key, UploadId=upload, **self._access.paid
        )
        with self._access.faults(str(place)):
            try:
                return {item["PartNumber"]: _part(item) for page in pages for item in page.get("Parts", ())}
            except ClientError as error:
                if _is_no_upload(error):
                    return None
                raise

    def complete(self, path: str, upload: str, parts: Sequence[SentPart]) -> Held:
        """The store compares the CRC of all bytes, where it keeps one."""
        place = self._place(path)
        crc = pushing.whole_crc((_crc(part), part.size_bytes) for part in parts)
        size_bytes = sum(part.size_bytes for part in parts)
        listed = [{"PartNumber": part.number, "ETag": part.etag, **self._told(_crc(part))} for part in parts]
        with self._access.faults(str(place)):
            try:
                found = self._access.client.complete_multipart_upload(
                    Bucket=place.bucket, Key=place.key, UploadId=upload, MultipartUpload={"Parts": listed},
                    **self._told(crc), **self._access.paid,
                )  # fmt: skip
            except ClientError as error:
                if not _is_no_upload(error):
                    raise
                return self._completed(path, crc, size_bytes)
        return Held(path=path, size_bytes=size_bytes, etag=found["ETag"])

    def abort(self, path: str, upload: str) -> None:
        """The store forgets its parts, and they cost nothing any more."""
        self._abort(self._place(path), upload)

    def _abort(self, place: Place, upload: str) -> None:
        with self._access.faults(str(place)):
            try:
                self._access.client.abort_multipart_upload(
                    Bucket=place.bucket, Key=place.key, UploadId=upload, **self._access.paid
                )
            except ClientError as error:
                if not _is_no_upload(error):
                    raise

    def remove(self, path: str) -> None:
        """The object, in a bucket with versions a marker over it."""
        place = self._place(path)
        with self._access.faults(str(place)):
            self._access.client.delete_object(Bucket=place.bucket, Key=place.key, **self._access.paid)

    def manifest(self) -> bytes | None:
        """The object beside the prefix."""
        return s3_listing.manifest_beside(self._access, self._bucket, self._prefix)

    def require_manifest(self) -> None:
        """An upload of it is begun and aborted: that takes the right to write, and nothing is seen of it."""
        place = self._manifest_place()
        try:
            self._abort(place, self._begin(place))
        except SourceDenied as error:
            raise SourceDenied(
                f"the manifest may not be put beside the files: {error.message}",
                hint=f"let this account write {place}, too",
            ) from error

    def put_manifest(self, data: bytes) -> str:
        """That object, by one request."""
        place = self._manifest_place()
        self._checked(place, {}, memoryview(data), None)
        return str(place)

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()
        self._access.close()

    def _completed(self, path: str, crc: int, size_bytes: int) -> Held:
        """What is there, where an answer to `complete` was lost and the upload is none any more.

        Raises:
            SourceChanged: It is something else: somebody aborted the upload.
        """
        place = self._place(path)
        answer = self._head(path)
        if s3_checksums.of_all_bytes(answer).get("crc64nvme") != f"{crc:016x}":
            raise SourceChanged(f"the upload of {place} was ended by somebody else", hint="run the same command again")
        return Held(path=path, size_bytes=size_bytes, etag=answer["etag"])

    def _head(self, path: str) -> Mapping[str, str]:
        return self._sent(self._access.request("HEAD", self._place(path), headers={"x-amz-checksum-mode": "ENABLED"}))

    def _place(self, path: str) -> Place:
        return Place(bucket=self._bucket, key=self._prefix + names.check(path))

    def _manifest_place(self) -> Place:
        return Place(bucket=self._bucket, key=beside.manifest_key(self._prefix))

    def _no_bucket(self, code: str) -> SourceError:
        return SourceMissing(
            f"there is no bucket {self._bucket!r} ({code})", hint=f"make it: mc mb, or aws s3 mb s3://{self._bucket}"
        )

    def _connection(self) -> Connection:
        return self._connections.get() or self._connections.put(Connection(self._access.trust))

    # -------------------------------------------------------------------------------------------------- what is sent

    def _checked(
        self, place: Place, query: Mapping[str, str], data: memoryview, cancel: Cancel | None
    ) -> Mapping[str, str]:
        """Send *data*, and have the store compare it: by its CRC, or where it does not know that, by its MD5."""
        if not self._by_md5.is_set():
            crc = _encoded(crc64nvme(data))
            answer = self._uploaded(place, query, {_CRC: crc}, data, cancel)
            if answer.get(_CRC) == crc:
                return answer
            self._by_md5.set()
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        return self._uploaded(place, query, {"Content-MD5": md5}, data, cancel)

    def _uploaded(
        self,
        place: Place,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        data: memoryview,
        cancel: Cancel | None,
    ) -> Mapping[str, str]:
        def request() -> Get:
            signed = self._access.request(
                "PUT", place, query=query, headers=headers, payload_sha256=signing.UNSIGNED_PAYLOAD
            )
            sent = {**signed.headers, "Content-Length": str(len(data))}
            return Get(
                url=signed.url, shown=signed.shown, headers=sent, method="PUT", body=lambda: _pieces(data, cancel)
            )

        return self._sent(request(), again=request)

    def _sent(self, asked: Get, *, again: Callable[[], Get] | None = None) -> Mapping[str, str]:
        """The headers of a good answer, names in lower case; refused credentials are renewed once."""
        connection = self._connection()
        try:
            answer = connection.send(asked)
            code = get.refusal(answer, asked.shown)
            if again is not None and code in get.STALE and self._access.renew():
                answer = connection.send(again())
                code = get.refusal(answer, asked.shown)
            with faults(asked.shown):
                answer.read()
        except BaseException:
            connection.close()
            raise
        if code in _OTHER_BYTES:
            raise SourceTransient(f"{asked.shown}: other bytes arrived than were sent ({code})")
        get.check_status(answer.status, code, asked.shown, answer.headers)
        return {name.lower(): value for name, value in answer.headers.items()}

    def _kept(self) -> dict[str, Any]:
        """What says that the store keeps a CRC of all bytes."""
        return {} if self._by_md5.is_set() else {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}

    def _told(self, crc: int) -> dict[str, str]:
        return {} if self._by_md5.is_set() else {"ChecksumCRC64NVME": _encoded(crc)}


def _is_no_upload(error: ClientError) -> bool:
    return bool(error.response.get("Error", {}).get("Code") == "NoSuchUpload")


def _part(item: Mapping[str, Any]) -> SentPart:
    said = item.get("ChecksumCRC64NVME")
    crc = int.from_bytes(base64.b64decode(said), "big") if said else None
    return SentPart(number=item["PartNumber"], size_bytes=item["Size"], etag=item["ETag"], crc64nvme=crc)


def _pieces(data: memoryview, cancel: Cancel | None) -> Iterator[memoryview]:
    for offset in range(0, len(data), PIECE_BYTES):
        if cancel is not None and cancel.is_set():
            raise Cancelled("interrupted")
        yield data[offset : offset + PIECE_BYTES]


def _crc(part: SentPart) -> int:
    assert part.crc64nvme is not None, "a part that is completed was sent, or compared with its source"
    return part.crc64nvme


def _encoded(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(8, "big")).decode()
