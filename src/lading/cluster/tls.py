"""Whom we trust and which certificate we show, without leaving a key on disk."""

import ssl
import tempfile
from pathlib import Path


def context(*, authority: bytes | None, insecure: bool) -> ssl.SSLContext:
    """A context that trusts *authority* (PEM, or DER) alone; the system's authorities where None; all, if *insecure*.

    Raises:
        ValueError: *authority* is no certificate.
    """
    try:
        made = ssl.create_default_context(cadata=None if authority is None else _text_or_der(authority))
    except ssl.SSLError as error:
        raise ValueError("is no certificate") from error
    # Python 3.13 asks of authorities what many clusters' own do not have; kubectl does not ask
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def show(into: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Show *certificate* on connections made from now on. OpenSSL reads files alone: they exist for this moment only.

    Raises:
        ValueError: They are no pair, or the key is encrypted.
    """
    with tempfile.TemporaryDirectory(prefix="lading-") as folder:  # mode 0700
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(key + b"\n" + certificate)
        try:
            into.load_cert_chain(pair, password=_no_password)
        except ssl.SSLError as error:
            raise ValueError("certificate and key are no pair") from error


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal."""
    raise ValueError("the key is encrypted")


def _text_or_der(authority: bytes) -> str | bytes:
    return authority.decode("ascii", errors="replace") if b"-----BEGIN" in authority else authority
