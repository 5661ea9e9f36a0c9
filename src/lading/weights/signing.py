"""Signatures of models, as OpenSSF Model Signing writes them: who signed which files with which digests. Pure.

A signature (``model.sig``) is a Sigstore bundle: a DSSE envelope around an in-toto statement with the SHA-256 of every
file, signed by an elliptic-curve key, or by a certificate that it carries along. Here it is held to the digests that
were computed while the files came: nothing is read a second time, which the reference's own verifier would do.

What is signed by an identity instead (keyless, by way of a public log) needs that log's own trust root, and is refused.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from lading.errors import InvalidInput, MissingExtra, VerificationFailed
from lading.spec import units

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import Certificate

SIGNATURE = "model.sig"
SIZE_LIMIT_BYTES = 64 << 20
PREDICATE = "https://model_signing/signature/v1.0"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
#: No signer covers them: the signature itself, and what only git reads.
_UNSIGNED = frozenset({SIGNATURE, ".git", ".gitattributes", ".github", ".gitignore"})
_SHOWN = 5

Digests = Mapping[str, str]
"""SHA-256 by path."""
Signer = Callable[[Mapping[str, Any]], "ec.EllipticCurvePublicKey"]
"""The key that must have signed, given a bundle's `verificationMaterial`."""


def signer(pem: str) -> Signer:
    """Who must have signed, by a public key, or by the root certificates whose holders may.

    Raises:
        MissingExtra: `cryptography` is not installed.
        InvalidInput: *pem* is neither, or a key of a kind that signs no models.
    """
    try:
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ModuleNotFoundError:
        raise MissingExtra("--require-signature", extra="signing") from None
    data = pem.encode()
    try:
        if b"BEGIN CERTIFICATE" in data:
            roots = x509.load_pem_x509_certificates(data)
            return lambda material: _certified(material, roots)
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(
            "--require-signature: the file holds no public key, and no certificate",
            hint="make one of a private key by: openssl ec -in KEY -pubout -out KEY.pem",
        ) from error
    if not _signs_models(key):
        raise InvalidInput(f"--require-signature: models are signed by a key of {', '.join(_CURVES)}, not by this one")
    return lambda material: _named(material, key)


def signed(bundle: bytes, by: Signer) -> Digests:
    """What the signature *bundle* says of each file, when *by* signed it.

    Raises:
        VerificationFailed: It is no such signature, or another's.
    """
    if len(bundle) > SIZE_LIMIT_BYTES:
        raise _refused(f"is longer than {units.show_bytes(SIZE_LIMIT_BYTES)}")
    try:
        document = json.loads(bundle)
        envelope = document["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(one["sig"], validate=True) for one in envelope["signatures"]]
        payload_type, material = envelope["payloadType"], document["verificationMaterial"]
        _check_signed(by(material), payload_type, payload, signatures)
        return dict(_resources(json.loads(payload)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise _refused(f"is no signature of a model ({type(error).__name__}: {str(error)[:100]})") from error


def require_covered(signed: Digests, paths: Collection[str], left_out: Collection[str] = ()) -> None:
    """Nothing, when exactly *paths* are signed; those the pull has *left_out* may be signed, too.

    Raises:
        VerificationFailed: Files are not signed, or signed ones are not there; names them.
    """
    differ = {
        "not signed": [path for path in paths if path not in signed and not _is_unsigned(path)],
        "signed and not there": [path for path in signed if path not in {*paths, *left_out}],
    }
    _require_none(differ)


def require(signed: Digests, files: Digests, left_out: Collection[str] = ()) -> None:
    """Nothing, when *files* are what was signed, as `require_covered` says.

    Raises:
        VerificationFailed: They are not; names what differs.
    """
    require_covered(signed, files.keys(), left_out)
    _require_none({"changed": [path for path, sha256 in files.items() if signed.get(path, sha256) != sha256]})


def missing() -> VerificationFailed:
    """The error of a model without a signature."""
    return VerificationFailed(
        f"the model has no signature: there is no {SIGNATURE} beside its files", hint="leave out --require-signature"
    )


def _require_none(differ: Mapping[str, list[str]]) -> None:
    found = [f"{what}: {_some(sorted(paths))}" for what, paths in differ.items() if paths]
    if found:
        raise VerificationFailed(
            f"the files are not those that were signed; {'; '.join(found)}",
            hint="what was not signed can be left out by --exclude; nothing was published",
        )


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


def _is_unsigned(path: str) -> bool:
    return path.partition("/")[0] in _UNSIGNED


def _refused(fact: str) -> VerificationFailed:
    return VerificationFailed(f"{SIGNATURE} {fact}", hint="nothing was published")


def _check_signed(key: "ec.EllipticCurvePublicKey", payload_type: str, payload: bytes, signatures: list[bytes]) -> None:
    """By DSSE: what is signed is the payload with its type and both their lengths (``DSSEv1 …``)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    if payload_type != _PAYLOAD:
        raise _refused(f"signs {payload_type!r}, not {_PAYLOAD!r}")
    text = b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)
    how = ec.ECDSA(getattr(hashes, _CURVES[key.curve.name])())
    for signature in signatures:
        try:
            key.verify(signature, text, how)
        except InvalidSignature:
            continue
        return
    raise _refused("was not made with that key over these files: it was changed, or another key signed")


def _resources(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of each file, the statement checked against its own sum."""
    if (statement["_type"], statement["predicateType"]) != (_STATEMENT, PREDICATE):
        raise _refused(f"states {statement['predicateType']!r}, not {PREDICATE!r}")
    predicate = statement["predicate"]
    how = predicate["serialization"]
    if (how["method"], how["hash_type"]) != ("files", "sha256"):
        raise _refused(f"hashes {how['method']} by {how['hash_type']}; only whole files by sha256 are understood")
    root = hashlib.sha256()
    seen: set[str] = set()
    for one in predicate["resources"]:
        name, sha256 = one["name"], one["digest"]
        if one["algorithm"] != "sha256" or name in seen:
            raise _refused(f"is ambiguous about {name!r}")
        seen.add(name)
        root.update(bytes.fromhex(sha256))
        yield name, sha256.lower()
    if [subject["digest"]["sha256"] for subject in statement["subject"]] != [root.hexdigest()]:
        raise _refused("disagrees with itself: its sum is not that of its files")


def _signs_models(key: object) -> "TypeGuard[ec.EllipticCurvePublicKey]":
    from cryptography.hazmat.primitives.asymmetric import ec

    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES


def _named(material: Mapping[str, Any], key: "ec.EllipticCurvePublicKey") -> "ec.EllipticCurvePublicKey":
    """*key*, unless the bundle says that another one signed, or none."""
    from cryptography.hazmat.primitives import serialization

    if "publicKey" not in material:
        raise _refused(f"was not made with a key, but by {_other(material)}")
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    ours, theirs = hashlib.sha256(pem).hexdigest(), material["publicKey"].get("hint")
    if theirs and theirs != ours:
        raise _refused(f"was made with another key: {theirs[:12]}…, and yours is {ours[:12]}…")
    return key


def _certified(material: Mapping[str, Any], roots: "list[Certificate]") -> "ec.EllipticCurvePublicKey":
    """The key of the certificate that the bundle carries, when one of *roots* stands for it.

    As the reference does it is judged at the time it became valid: nothing in a bundle says when it signed.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import verification

    if "x509CertificateChain" not in material:
        raise _refused(f"carries no chain of certificates; it was made by {_other(material)}")
    carried = [base64.b64decode(one["rawBytes"]) for one in material["x509CertificateChain"]["certificates"]]
    leaf, *between = map(x509.load_der_x509_certificate, carried)
    policies = verification.ExtensionPolicy
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(roots))
        .time(leaf.not_valid_before_utc)
        .extension_policies(ca_policy=policies.webpki_defaults_ca(), ee_policy=policies.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, between)
        fit, key = _may_sign(leaf), leaf.public_key()
    except (verification.VerificationError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _refused(f"was made with a certificate that yours do not stand for: {error}") from error
    if not fit or not _signs_models(key):
        raise _refused("was made with a certificate that is not for signing")
    return key


def _may_sign(certificate: "Certificate") -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    for kind in (x509.KeyUsage, x509.ExtendedKeyUsage):
        try:
            found: Any = certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            continue
        if isinstance(found, x509.KeyUsage):
            if found.digital_signature:
                return True
        elif ExtendedKeyUsageOID.CODE_SIGNING in found:
            return True
    return False


def _other(material: Mapping[str, Any]) -> str:
    if "certificate" in material:
        return "an identity (keyless), which a key cannot confirm"
    return "a certificate: give its root certificate" if "x509CertificateChain" in material else "something unknown"
