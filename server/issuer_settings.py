"""One whom we believe: what is asked of its tokens, and where its keys are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, PlainValidator, ValidationInfo, model_validator

from server.oauth.jose import StrictError, parse_object
from server.oauth.jwk_set import parse_jwks, secret_key_set
from server.oauth.keys import SECRET_ALGORITHMS, KeySet
from server.oauth.policy import TokenPolicy
from server.settings import HttpsUrl, SettingError

_MAX_SIZE = 256 * 1024


def _read_jwks(value: Any) -> KeySet:
    match value:
        case str(address) if "://" in address:
            raise ValueError("must be a file: an address goes to jwks_uri")
        case str(path):
            return _usable(_read_file(Path(path)), f"{path} ")
        case dict(document):
            return _usable(document, "")
    raise ValueError("must be a mapping with keys, or the path of a file with one")


def _usable(document: Mapping[str, Any], where: str) -> KeySet:
    try:
        keys = parse_jwks(document)
    except ValueError as error:
        raise ValueError(f"{where}has {error}") from None
    if not keys.keys:
        causes = "; ".join(
            f"{each.key_id or 'one without kid'}: {each.cause}" for each in keys.unfit
        )
        raise ValueError(f"{where}has no usable key" + (f" ({causes})" if causes else ""))
    return keys


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > _MAX_SIZE:
        raise ValueError(f"{path} is larger than {_MAX_SIZE} bytes")
    try:
        return parse_object(raw)
    except StrictError as error:
        raise ValueError(f"{path} {error}") from None


def _read_secret(name: Any, info: ValidationInfo) -> KeySet:
    environ = (info.context or {}).get("environ", {})
    if not isinstance(name, str) or name not in environ:
        # Not repeated: it may be the secret itself that was written here.
        raise ValueError("must name a variable that the environment has")
    secret = environ[name].encode("utf-8", "surrogateescape")
    try:
        return secret_key_set(secret)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


class IssuerSettings(TokenPolicy):
    """
    One whom we believe.

    Attributes:
        jwks_uri: where its keys are; discovered if absent.
        jwks: its public keys, or the file that they are in: no network.
        secret_env: the environment variable with the secret that it signs with: no network.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    jwks_uri: HttpsUrl | None = None
    jwks: Annotated[KeySet | None, PlainValidator(_read_jwks)] = None
    secret_env: Annotated[KeySet | None, PlainValidator(_read_secret)] = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        given = [name for name in ("jwks_uri", "jwks", "secret_env") if getattr(self, name)]
        if len(given) > 1:
            raise SettingError(given[-1], f"must not stand beside {given[0]}")
        if "algorithms" not in self.model_fields_set:
            return self
        # One key must not serve both: RFC 8725 section 3.1.
        if self.secret_env is None and (foreign := self.algorithms & SECRET_ALGORITHMS):
            needed = "a secret, which secret_env names"
        elif self.secret_env is not None and (foreign := self.algorithms - SECRET_ALGORITHMS):
            needed = "public keys, not the secret of secret_env"
        else:
            return self
        raise SettingError("algorithms", f"{', '.join(sorted(foreign))}: for {needed}")

    @property
    def fixed_keys(self) -> KeySet | None:
        """The keys that are configured, if they are."""
        return self.jwks or self.secret_env

    @property
    def policy(self) -> TokenPolicy:
        """What is asked of its tokens."""
        settings = {name: getattr(self, name) for name in TokenPolicy.model_fields}
        if self.secret_env is not None and "algorithms" not in self.model_fields_set:
            settings["algorithms"] = SECRET_ALGORITHMS
        return TokenPolicy(**settings)
