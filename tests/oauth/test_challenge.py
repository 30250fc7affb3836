import pytest

from server.oauth.challenge import Challenge
from server.oauth.errors import (
    AuthError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    MissingTokenError,
    Reason,
)


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (MissingTokenError(), 'Bearer realm="api"'),
        (
            InvalidRequestError(),
            (
                'Bearer realm="api", error="invalid_request", error_description='
                '"The access token must be sent once, in one Authorization line"'
            ),
        ),
        (
            InvalidTokenError(Reason.EXPIRED),
            (
                'Bearer realm="api", error="invalid_token", '
                'error_description="The access token has expired"'
            ),
        ),
        (
            InsufficientScopeError(scopes=["a", "b"], missing=["a"]),
            (
                'Bearer realm="api", error="insufficient_scope", error_description='
                '"The access token does not grant what this resource requires", scope="a b"'
            ),
        ),
        (
            InsufficientScopeError(scopes=[], missing=[]),
            (
                'Bearer realm="api", error="insufficient_scope", error_description='
                '"The access token does not grant what this resource requires"'
            ),
        ),
    ],
)
def test_a_challenge_is_written_as_the_rfc_has_it(error: AuthError, header: str) -> None:
    assert str(Challenge.to(error, realm="api")) == header


def test_where_keys_are_missing_a_better_token_would_not_help() -> None:
    assert Challenge.to(KeysUnavailableError(retry_after=1), realm="api") is None


def test_a_realm_is_quoted() -> None:
    assert str(Challenge('a "b" \\c')) == 'Bearer realm="a \\"b\\" \\\\c"'


BEFORE_THE_SIGNATURE = {
    Reason.MALFORMED,
    Reason.TOKEN_TOO_LARGE,
    Reason.WRONG_TYPE,
    Reason.ALGORITHM_NOT_ALLOWED,
    Reason.UNTRUSTED_ISSUER,
    Reason.UNKNOWN_KEY,
    Reason.KEY_MISMATCH,
    Reason.BAD_SIGNATURE,
}


def test_up_to_the_signature_all_refusals_read_alike() -> None:
    assert len({InvalidTokenError(reason).description for reason in BEFORE_THE_SIGNATURE}) == 1


@pytest.mark.parametrize("reason", Reason)
def test_descriptions_are_of_the_characters_that_the_rfc_allows(reason: Reason) -> None:
    description = InvalidTokenError(reason).description

    assert all(" " <= character <= "~" and character not in '"\\' for character in description)
