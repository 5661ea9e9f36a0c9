"""Listings of a plain store (`lading.sources.s3_plain`), by requests of our own.

Only what goes well is done here: where the store answers anything but what was asked for, `Refused` sends the caller to
botocore, which asks again, follows the store to another region, waits for it, and says what is wrong.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from typing import Protocol
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from lading.errors import LadingError
from lading.sources.connection import Connection, Get, Trust
from lading.sources.s3_place import Place, Stored

LONGEST_PAGE_BYTES = 16 << 20


class Refused(Exception):
    """The store did not give what was asked for."""


class Signs(Protocol):
    """As much of `lading.sources.s3_access.Access` as listing takes."""

    trust: Trust

    def request(self, method: str, place: Place, *, query: Mapping[str, str] | None = None) -> Get:
        """A signed request."""


def below(access: Signs, bucket: str, prefix: str) -> Iterator[Stored]:
    """All objects whose keys begin with *prefix*, by key; refused, too, where the bucket keeps versions."""
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    token: str | None = None
    with _connected(access) as connection:
        if _keeps_versions(connection, access, bucket):
            raise Refused
        while True:
            asked = {**query, **({"continuation-token": token} if token else {})}
            answer = _asked(connection, access.request("GET", Place(bucket=bucket, key=""), query=asked))
            more, before = None, token
            for part in _page(answer):
                if _name(part) == "Contents":
                    yield _stored(part)
                elif _name(part) == "NextContinuationToken":
                    more = part.text
            token = more
            if token is None:
                return
            if token == before:
                raise Refused


def read(access: Signs, place: Place) -> bytes | None:
    """All of a small object; None where there is none."""
    with _connected(access) as connection:
        try:
            return _asked(connection, access.request("GET", place))
        except _Missing:
            return None


def _keeps_versions(connection: Connection, access: Signs, bucket: str) -> bool:
    """Whether the bucket keeps versions, or did, as far as this user may know."""
    try:
        answer = _asked(connection, access.request("GET", Place(bucket=bucket, key=""), query={"versioning": ""}))
    except _Forbidden:
        return False
    return any(_name(part) == "Status" for part in _page(answer))


class _Missing(Refused):
    """It is not there."""


class _Forbidden(Refused):
    """This user may not ask that."""


@contextmanager
def _connected(access: Signs) -> Iterator[Connection]:
    connection = Connection(access.trust)
    try:
        yield connection
    except (LadingError, HTTPException, OSError) as error:
        raise Refused from error
    finally:
        connection.close()


def _asked(connection: Connection, get: Get) -> bytes:
    answer = connection.send(get)
    if answer.status != HTTPStatus.OK:
        raise {HTTPStatus.NOT_FOUND: _Missing, HTTPStatus.FORBIDDEN: _Forbidden}.get(HTTPStatus(answer.status), Refused)
    text = answer.read(LONGEST_PAGE_BYTES + 1)
    if len(text) > LONGEST_PAGE_BYTES:
        raise Refused
    return text


def _page(text: bytes) -> Iterator[ET.Element]:
    """What is in the outermost element; entities that expand without end are refused by expat itself."""
    try:
        yield from ET.fromstring(text)  # noqa: S314 - see above
    except ET.ParseError as error:
        raise Refused from error


def _stored(item: ET.Element) -> Stored:
    of = {_name(part): part.text or "" for part in item}
    try:
        return Stored(key=unquote_plus(of["Key"]), size_bytes=int(of["Size"]), etag=of["ETag"])
    except (KeyError, ValueError) as error:
        raise Refused from error


def _name(part: ET.Element) -> str:
    """Its tag, without the namespace."""
    return part.tag.rpartition("}")[2]
