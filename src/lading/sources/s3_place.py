"""Where an object is, and what a listing says of it."""

from dataclasses import dataclass
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One object; of one version, where its bucket keeps versions."""

    bucket: str
    key: str
    version: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def text(self) -> str:
        """As one line, for `Place.of`."""
        return f"{self.bucket}/{quote(self.key)}" + (f"?{quote(self.version)}" if self.version else "")

    @classmethod
    def of(cls, text: str) -> "Place":
        """What `text` was made from."""
        path, _, version = text.partition("?")
        bucket, _, key = path.partition("/")
        return cls(bucket=bucket, key=unquote(key), version=unquote(version) or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One object, as its listing tells of it; *version* None where the bucket keeps none, or does not show them."""

    key: str
    size_bytes: int
    etag: str
    version: str | None = None
