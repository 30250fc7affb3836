from typing import Any

import pytest
from joserfc import jwk

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.jwk_set import parse_jwks
from server.oauth.keys import KeySet
from tests.minting import key_kind, private_key, public_jwk

MESSAGE = b"signing input"


def key_set(*members: object) -> KeySet:
    return parse_jwks({"keys": list(members)})


def fitting(keys: KeySet, key_id: str | None, algorithm: str) -> int:
    return len(keys.candidates(key_id=key_id, algorithm=algorithm))


@pytest.mark.parametrize(
    ("kind", "algorithms"),
    [
        ("RSA", {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        ("EC", {"ES256"}),
        ("OKP", {"Ed25519"}),
    ],
)
def test_a_key_fits_the_algorithms_of_its_type(kind: str, algorithms: set[str]) -> None:
    (key,) = key_set(public_jwk(private_key(kind))).keys

    assert key.algorithms == algorithms


@pytest.mark.parametrize(("alg", "expected"), [("RS256", "RS256"), ("EdDSA", "Ed25519")])
def test_a_key_made_for_one_algorithm_fits_no_other(alg: str, expected: str) -> None:
    (key,) = key_set(public_jwk(private_key(key_kind(alg)), alg=alg)).keys

    assert key.algorithms == {expected}


def test_a_key_does_not_verify_with_an_algorithm_that_is_not_its_own() -> None:
    (key,) = key_set(public_jwk(alg="RS256")).keys

    assert not key.verifies(b"x", MESSAGE, algorithm="PS256")
    assert not key.verifies(b"x", MESSAGE, algorithm="HS256")


def test_an_unknown_key_has_no_candidates() -> None:
    assert fitting(key_set(public_jwk(kid="a")), "b", "RS256") == 0


def test_a_known_key_of_another_type_is_a_mismatch() -> None:
    with pytest.raises(InvalidTokenError) as refused:
        key_set(public_jwk(kid="a")).candidates(key_id="a", algorithm="ES256")

    assert refused.value.reason is Reason.KEY_MISMATCH


def test_of_two_keys_with_one_name_the_algorithm_chooses() -> None:
    keys = key_set(public_jwk(kid="a"), public_jwk(private_key("EC"), kid="a"))

    (chosen,) = keys.candidates(key_id="a", algorithm="ES256")

    assert chosen.algorithms == {"ES256"}


def test_two_different_keys_with_one_name_are_both_candidates() -> None:
    other = private_key("RSA", "other")

    keys = key_set(public_jwk(kid="a"), public_jwk(other, kid="a"))

    assert fitting(keys, "a", "RS256") == 2


def test_the_same_key_twice_is_one_key() -> None:
    assert fitting(key_set(public_jwk(kid="a"), public_jwk(kid="a")), "a", "RS256") == 1


def test_at_most_four_keys_with_one_name_are_tried() -> None:
    keys = [jwk.ECKey.generate_key("P-256", {"kid": "a"}) for _ in range(6)]

    assert fitting(key_set(*map(public_jwk, keys)), "a", "ES256") == 4


def test_a_token_without_a_key_id_takes_the_one_key_that_fits() -> None:
    keys = key_set(public_jwk(kid="a"), public_jwk(private_key("EC"), kid="b"))

    assert fitting(keys, None, "RS256") == 1


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_token_without_a_key_id_that_fits_several_or_none_has_an_unknown_key(
    algorithm: str,
) -> None:
    keys = key_set(public_jwk(kid="a"), public_jwk(private_key("RSA", "other"), kid="b"))

    with pytest.raises(InvalidTokenError) as refused:
        keys.candidates(key_id=None, algorithm=algorithm)

    assert refused.value.reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "member",
    [
        public_jwk(),
        public_jwk(alg="PS256"),
        public_jwk(private_key("EC"), use="sig", x5t="AAAA"),
        public_jwk(private_key("OKP"), alg="EdDSA"),
        {name: value for name, value in public_jwk().items() if name != "kid"},
    ],
    ids=["plain", "for PS256", "with use and x5t", "for EdDSA", "without kid"],
)
def test_a_set_makes_the_same_set_again_from_its_public_members(member: dict[str, Any]) -> None:
    keys = key_set(member, {"kty": "oct", "k": "AAAA"})

    again = parse_jwks(keys.document)

    assert not again.unfit
    (before,), (after,) = keys.keys, again.keys
    assert after.key_id == before.key_id
    assert after.algorithms == before.algorithms
    assert after.thumbprint == before.thumbprint
    shown = set(keys.document["keys"][0])
    assert shown <= {"kty", "n", "e", "crv", "x", "y", "kid", "alg"}


@pytest.mark.parametrize(
    ("kind", "strength"), [("RSA", "RSA 2048"), ("EC", "EC P-256"), ("OKP", "OKP Ed25519")]
)
def test_the_strength_of_a_key_is_told(kind: str, strength: str) -> None:
    assert key_set(public_jwk(private_key(kind))).keys[0].strength == strength
