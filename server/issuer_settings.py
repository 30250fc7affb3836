"""One whom we believe: what is asked of its tokens, and where its keys are."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, PlainValidator, ValidationInfo, model_validator

from server.oauth.jose import parse_object
from server.oauth.keys import SECRET_ALGORITHMS, KeySet, parse_jwks, secret_key_set
from server.oauth.policy import TokenPolicy
from server.settings import HttpsUrl, SettingError


def _read_jwks(value: Any) -> KeySet:
    match value:
        case str(path):
            document = _read_file(Path(path))
        case dict(document):
            pass
        case _:
            raise ValueError("must be a mapping with keys, or the path of a file with one")
    keys = parse_jwks(document)
    if not keys.keys:
        causes = "; ".join(
            f"{each.key_id or 'one without kid'}: {each.cause}" for each in keys.unfit
        )
        raise ValueError(f"has no usable key ({causes})" if causes else "has no key")
    return keys


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return parse_object(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__})") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is no JSON object") from None


def _read_secret(name: Any, info: ValidationInfo) -> KeySet:
    if not isinstance(name, str):
        raise ValueError("must be the name of an environment variable")
    environ = (info.context or {}).get("environ", {})
    if name not in environ:
        raise ValueError(f"the environment has no {name}")
    try:
        return secret_key_set(environ[name].encode("utf-8", "surrogateescape"))
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
    jwks: Annotated[KeySet, PlainValidator(_read_jwks)] | None = None
    secret_env: Annotated[KeySet, PlainValidator(_read_secret)] | None = None

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
