"""Signatures as the real signer makes them, and what is done to them."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from model_signing import hashing
from model_signing import signing as signing_theirs

from lading.errors import InvalidInput, LadingError, VerificationFailed
from lading.weights import signing

CONTENT = {"config.json": b"{}", "sub/model.safetensors": b"weights" * 100, "README.md": b"# It"}
DIGESTS = {path: hashlib.sha256(data).hexdigest() for path, data in CONTENT.items()}
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def private(key, path):
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    for path, data in {**CONTENT, ".gitattributes": b"*.bin", ".git/HEAD": b"ref"}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def config(model, **serialization_options):
    made = hashing.Config().set_ignored_paths(paths=["model.sig"], ignore_git_paths=True)
    if serialization_options:
        made.use_shard_serialization(**serialization_options)
    return signing_theirs.Config().set_hashing_config(made)


def sign(model, key, tmp_path, **options):
    config(model, **options).use_elliptic_key_signer(private_key=private(key, tmp_path / "key.pem")).sign(
        model, model / "model.sig"
    )
    return (model / "model.sig").read_bytes()


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_a_real_signature_says_the_digest_of_every_file(model, tmp_path, curve):
    made = ec.generate_private_key(curve())
    bundle = sign(model, made, tmp_path)
    found = signing.signed(bundle, signing.signer(pem(made.public_key())))
    assert found == DIGESTS
    signing.require(found, {**DIGESTS, "model.sig": "0" * 64, ".git/HEAD": "1" * 64, ".gitattributes": "2" * 64})


def test_another_key_is_told_by_name(model, key, tmp_path):
    bundle = sign(model, key, tmp_path)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(VerificationFailed, match="another key"):
        signing.signed(bundle, signing.signer(pem(other)))
    without_name = json.loads(bundle)
    without_name["verificationMaterial"]["publicKey"] = {}
    with pytest.raises(VerificationFailed, match="another key signed"):
        signing.signed(json.dumps(without_name).encode(), signing.signer(pem(other)))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({**DIGESTS, "config.json": "0" * 64}, "changed: config.json"),
        ({**DIGESTS, "extra.py": "0" * 64}, "not signed: extra.py"),
        ({**DIGESTS, "sub/.gitattributes": "0" * 64}, "not signed: sub/.gitattributes"),
        ({**DIGESTS, "sub/model.sig": "0" * 64}, "not signed: sub/model.sig"),
        ({path: DIGESTS[path] for path in ("config.json", "README.md")}, "not there: sub/model.safetensors"),
        ({}, "not there: README.md, config.json, sub/model.safetensors"),
    ],
)
def test_files_that_differ_are_named(files, words):
    with pytest.raises(VerificationFailed, match=words):
        signing.require(DIGESTS, files)


def test_many_files_that_differ_are_counted():
    with pytest.raises(VerificationFailed, match="not signed: 0, 1, 2, 3, 4 and 4 more"):
        signing.require({}, {str(number): "0" * 64 for number in range(9)})


def test_what_the_pull_left_out_need_not_be_there():
    signing.require(DIGESTS, {"config.json": DIGESTS["config.json"]}, {"README.md", "sub/model.safetensors"})


def test_any_byte_of_the_signed_part_counts(model, key, tmp_path):
    document = json.loads(sign(model, key, tmp_path))
    payload = bytearray(base64.b64decode(document["dsseEnvelope"]["payload"]))
    by = signing.signer(pem(key.public_key()))
    for at in range(0, len(payload), 97):
        payload[at] ^= 1
        document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        with pytest.raises(VerificationFailed):
            signing.signed(json.dumps(document).encode(), by)
        payload[at] ^= 1


def resigned(key, **changes):
    """A bundle that the right key signed, with a statement of our own."""
    root = hashlib.sha256(b"".join(bytes.fromhex(one) for one in DIGESTS.values())).hexdigest()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": root}}],
        "predicateType": signing.PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256"},
            "resources": [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in DIGESTS.items()],
        },
    }
    statement.update(changes)
    payload = json.dumps(statement).encode()
    text = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    sig = key.sign(text, ec.ECDSA(hashes.SHA256()))
    return json.dumps(
        {
            "verificationMaterial": {"publicKey": {}},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": base64.b64encode(sig).decode()}],
            },
        }
    ).encode()


TWICE = {
    "serialization": {"method": "files", "hash_type": "sha256"},
    "resources": [{"name": "a", "algorithm": "sha256", "digest": "0" * 64}] * 2,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "slsa"),
        ({"_type": "other"}, "states"),
        ({"subject": [{"name": "m", "digest": {"sha256": "0" * 64}}]}, "disagrees with itself"),
        ({"predicate": TWICE}, "ambiguous"),
        ({"predicate": {}}, "no signature of a model"),
        ({"predicate": {"serialization": {"method": "files", "hash_type": "blake3"}}}, "blake3"),
    ],
)
def test_a_statement_that_is_something_else_is_refused(key, changes, words):
    by = signing.signer(pem(key.public_key()))
    assert signing.signed(resigned(key), by) == DIGESTS
    with pytest.raises(VerificationFailed, match=words):
        signing.signed(resigned(key, **changes), by)


def test_signatures_over_parts_of_files_are_refused(model, key, tmp_path):
    bundle = sign(model, key, tmp_path, shard_size=1000)
    with pytest.raises(VerificationFailed, match="shards"):
        signing.signed(bundle, signing.signer(pem(key.public_key())))


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_anything_is_a_signature_or_is_refused(key, bundle):
    with pytest.raises(LadingError):
        signing.signed(bundle, signing.signer(pem(key.public_key())))


def test_depth_is_no_crash(key):
    with pytest.raises(VerificationFailed):
        signing.signed(b"[" * 1_000_000, signing.signer(pem(key.public_key())))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_key_is_refused_at_once(text):
    with pytest.raises(InvalidInput, match="no public key"):
        signing.signer(text)


@pytest.mark.parametrize("made", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())])
def test_keys_that_sign_no_models_are_refused_at_once(made):
    with pytest.raises(InvalidInput, match="secp256r1"):
        signing.signer(pem(made.public_key()))


def certificate(name, key, issuer=None, issuer_key=None, *, ca=False, signs=True, began=BEGAN, days=30):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=not signs, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    return builder.sign(issuer_key or key, hashes.SHA256())


@pytest.fixture(scope="module")
def chain():
    """Names to (key, certificate): a root, one below it, a signer below that, and some that must not pass."""
    keys = {
        name: ec.generate_private_key(ec.SECP256R1())
        for name in ("root", "between", "signer", "below", "unfit", "stray")
    }
    root = certificate("root", keys["root"], ca=True, days=4000)
    between = certificate("between", keys["between"], root, keys["root"], ca=True, days=400)
    made = {
        "root": root,
        "between": between,
        "signer": certificate("signer", keys["signer"], between, keys["between"]),
        "unfit": certificate("unfit", keys["unfit"], between, keys["between"], signs=False),
        "stray": certificate("root", keys["stray"], ca=True),
    }
    made["below"] = certificate("below", keys["below"], made["signer"], keys["signer"])
    return {name: (keys[name], made[name]) for name in keys}


def stored(folder, chain, *names):
    files = []
    for name in names:
        files.append(folder / f"{name}.pem")
        files[-1].write_bytes(chain[name][1].public_bytes(serialization.Encoding.PEM))
    return files


def certified(model, tmp_path, chain, name, between):
    files = stored(tmp_path, chain, name, *between)
    config(model).use_certificate_signer(
        private_key=private(chain[name][0], tmp_path / "key.pem"),
        signing_certificate=files[0],
        certificate_chain=files[1:] or files,  # it takes no empty chain
    ).sign(model, model / "model.sig")
    return (model / "model.sig").read_bytes()


def root_pem(chain, name="root"):
    return chain[name][1].public_bytes(serialization.Encoding.PEM).decode()


def test_a_certificate_stands_for_a_signature(model, tmp_path, chain):
    """Long after the signer's certificate ended: it is judged at its own time, as the reference does."""
    bundle = certified(model, tmp_path, chain, "signer", ["between"])
    assert signing.signed(bundle, signing.signer(root_pem(chain))) == DIGESTS


@pytest.mark.parametrize(
    ("name", "between", "root"),
    [
        ("signer", ["between"], "stray"),
        ("signer", ["stray"], "root"),
        ("below", ["signer", "between"], "root"),
        ("unfit", ["between"], "root"),
        ("stray", [], "root"),
    ],
)
def test_certificates_that_nobody_trusted_stands_for_are_refused(model, tmp_path, chain, name, between, root):
    bundle = certified(model, tmp_path, chain, name, between)
    with pytest.raises(VerificationFailed, match="certificate"):
        signing.signed(bundle, signing.signer(root_pem(chain, root)))


def test_a_key_and_a_certificate_are_not_taken_for_one_another(model, key, tmp_path, chain):
    with pytest.raises(VerificationFailed, match="give its root certificate"):
        signing.signed(certified(model, tmp_path, chain, "signer", ["between"]), signing.signer(pem(key.public_key())))
    with pytest.raises(VerificationFailed, match="no chain of certificates"):
        signing.signed(sign(model, key, tmp_path), signing.signer(root_pem(chain)))


def test_certificates_that_are_none_are_refused(key, chain):
    """Any bytes where a chain belongs; and a key in it that signs no models."""
    by = signing.signer(root_pem(chain))
    document = json.loads(resigned(key))
    stray = certificate("rsa", rsa.generate_private_key(65537, 2048), chain["root"][1], chain["root"][0])
    for carried in ([], [b""], [b"0\x82"], [stray.public_bytes(serialization.Encoding.DER)]):
        certificates = [{"rawBytes": base64.b64encode(one).decode()} for one in carried]
        document["verificationMaterial"] = {"x509CertificateChain": {"certificates": certificates}}
        with pytest.raises(VerificationFailed):
            signing.signed(json.dumps(document).encode(), by)


def test_a_keyless_signature_is_told(key):
    document = json.loads(resigned(key))
    document["verificationMaterial"] = {"certificate": {"rawBytes": ""}, "tlogEntries": []}
    with pytest.raises(VerificationFailed, match="keyless"):
        signing.signed(json.dumps(document).encode(), signing.signer(pem(key.public_key())))
