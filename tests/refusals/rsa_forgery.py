"""RSA signatures with paddings that nobody should take: RFC 8017, Bleichenbacher 2006."""

from collections.abc import Callable
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.minting import Signer
from tests.refusals.keyring import RSA, main_signer

_SIZE = 256  # bytes

_SHA1 = bytes.fromhex("3021300906052b0e03021a05000414")
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
_SHA256_WITHOUT_NULL = bytes.fromhex("302f300b06096086480165030402010420")
_SHA256_IN_LONG_FORM = bytes.fromhex("308131300d060960864801650304020105000420")
_SHA256_WITH_PARAMETERS = bytes.fromhex("3033300f06096086480165030402010402abcd0420")
_SHA512 = bytes.fromhex("3051300d060960864801650304020305000440")


def _private_key() -> rsa.RSAPrivateKey:
    assert isinstance(RSA.private_key, rsa.RSAPrivateKey)
    return RSA.private_key


def _pss(
    salt: int,
    *,
    mask: hashes.HashAlgorithm | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> Signer:
    scheme = padding.PSS(padding.MGF1(mask or hashes.SHA256()), salt)
    return lambda octets: _private_key().sign(octets, scheme, digest or hashes.SHA256())


def _pkcs1(digest: hashes.HashAlgorithm) -> Signer:
    return lambda octets: _private_key().sign(octets, padding.PKCS1v15(), digest)


def padded_block(octets: bytes) -> bytes:
    """What a signature is where the exponent is 1."""
    info = _SHA256 + sha256(octets).digest()
    return b"\0\1" + b"\xff" * (_SIZE - 3 - len(info)) + b"\0" + info


def _raw(block: Callable[[bytes], bytes]) -> Signer:
    """Sign what *block* makes of the digest as it is, without any padding of the library's."""

    def sign(octets: bytes) -> bytes:
        numbers = _private_key().private_numbers()
        modulus = numbers.public_numbers.n
        number = int.from_bytes(block(sha256(octets).digest())) % modulus
        return pow(number, numbers.d, modulus).to_bytes(_SIZE)

    return sign


def _padded(
    info: bytes = _SHA256,
    *,
    before: bytes = b"\0\1",
    fill: bytes = b"\xff",
    end: bytes = b"\0",
    behind: bytes = b"",
) -> Signer:
    """Sign a block as PKCS #1 v1.5 has it, but for what is given."""

    def block(digest: bytes) -> bytes:
        told = end + info + digest + behind
        return before + fill * (_SIZE - len(before) - len(told)) + told

    return _raw(block)


def _altered(algorithm: str, change: Callable[[bytes], bytes]) -> Signer:
    genuine = main_signer(algorithm)
    return lambda octets: change(genuine(octets))


def _plus_modulus(signature: bytes) -> bytes:
    modulus = _private_key().public_key().public_numbers().n
    return (int.from_bytes(signature) + modulus).to_bytes(_SIZE + 1)


SOUND_RSA = {"PKCS #1 v1.5": ("RS256", _padded()), "PSS": ("PS256", _pss(32))}

FORGED_RSA: dict[str, tuple[str, Signer]] = {
    "PSS without salt": ("PS256", _pss(0)),
    "PSS with 8 bytes of salt": ("PS256", _pss(8)),
    "PSS with 20 bytes of salt": ("PS256", _pss(20)),
    "PSS with 31 bytes of salt": ("PS256", _pss(31)),
    "PSS with 33 bytes of salt": ("PS256", _pss(33)),
    "PSS with 64 bytes of salt": ("PS256", _pss(64)),
    "PSS with the most salt": ("PS256", _pss(222)),
    "PSS with another mask": ("PS256", _pss(32, mask=hashes.SHA1())),  # noqa: S303 (as forgers may)
    "PSS with a longer mask": ("PS256", _pss(32, mask=hashes.SHA512())),
    "PSS with another digest": ("PS256", _pss(32, digest=hashes.SHA512())),
    "PSS as PS384 has it": ("PS256", _pss(48, mask=hashes.SHA384(), digest=hashes.SHA384())),
    "PSS for PKCS #1": ("RS256", _pss(32)),
    "PKCS #1 for PSS": ("PS256", _pkcs1(hashes.SHA256())),
    "PKCS #1 with SHA-512": ("RS256", _pkcs1(hashes.SHA512())),
    "PKCS #1 with SHA-384": ("RS256", _pkcs1(hashes.SHA384())),
    "SHA-1 claimed for the digest": ("RS256", _padded(_SHA1)),
    "SHA-512 claimed for the digest": ("RS256", _padded(_SHA512)),
    "no digest algorithm": ("RS256", _padded(b"")),
    "no NULL parameters": ("RS256", _padded(_SHA256_WITHOUT_NULL)),
    "foreign parameters": ("RS256", _padded(_SHA256_WITH_PARAMETERS)),
    "a length in long form": ("RS256", _padded(_SHA256_IN_LONG_FORM)),
    "garbage behind the digest": ("RS256", _padded(behind=b"\x01" * 16)),
    "eight bytes of padding, then garbage": ("RS256", _padded(before=b"\0\1" + b"\xff" * 8 + b"\0", fill=b"\x5a", end=b"")),
    "the digest first, then garbage": ("RS256", _raw(lambda digest: (b"\0\1" + b"\xff" * 8 + b"\0" + _SHA256 + digest).ljust(_SIZE, b"\xaa"))),
    "no padding": ("RS256", _raw(lambda digest: (b"\0\1\0" + _SHA256 + digest).rjust(_SIZE, b"\0"))),
    "padding of other bytes": ("RS256", _padded(fill=b"\xfe")),
    "padding of zeros": ("RS256", _padded(fill=b"\0")),
    "no zero behind the padding": ("RS256", _padded(end=b"")),
    "one behind the padding": ("RS256", _padded(end=b"\1")),
    "block type 0": ("RS256", _padded(before=b"\0\0")),
    "block type 2": ("RS256", _padded(before=b"\0\2")),
    "a first byte that is not zero": ("RS256", _padded(before=b"\1\1")),
    "the digest alone": ("RS256", _raw(lambda digest: digest)),
    "another message": ("RS256", _raw(lambda _: b"\0\1" + b"\xff" * 202 + b"\0" + _SHA256 + bytes(32))),
    "a zero before": ("RS256", _altered("RS256", lambda signature: b"\0" + signature)),
    "a zero behind": ("RS256", _altered("RS256", lambda signature: signature + b"\0")),
    "a byte less": ("RS256", _altered("RS256", lambda signature: signature[:-1])),
    "backwards": ("RS256", _altered("RS256", lambda signature: signature[::-1])),
    "the modulus added": ("RS256", _altered("RS256", _plus_modulus)),
    "PSS with the modulus added": ("PS256", _altered("PS256", _plus_modulus)),
    "nothing": ("RS256", lambda _: b""),
    "zeros": ("RS256", lambda _: bytes(_SIZE)),
    "one": ("RS256", lambda _: (1).to_bytes(_SIZE)),
    "the largest number": ("RS256", lambda _: b"\xff" * _SIZE),
    "ten times its size": ("RS256", lambda _: b"\1" * 10 * _SIZE),
    "zeros for PSS": ("PS256", lambda _: bytes(_SIZE)),
    "one for PSS": ("PS256", lambda _: (1).to_bytes(_SIZE)),
}  # fmt: skip
