"""config.yaml and the environment, read once, judged whole: one frozen Config or all its faults."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from server.config_sources import (
    Location,
    apply_environment,
    apply_quickstart_variables,
    dotted,
    inherit_audience,
    read_file,
    trust_dev_issuer,
)
from server.dev_issuer.settings import DevIssuerSettings
from server.issuer_settings import IssuerSettings
from server.jwks.policy import RefreshPolicy
from server.jwks.store import StoreUrl
from server.logs import LogSettings
from server.oauth.policy import Audiences
from server.settings import Port, SettingError, Settings, Workers, is_loopback
from server.stopping import StopSettings
from server.token_cache import TokenCacheSettings
from server.web.client_address import TrustedProxies
from server.web.cors import CorsSettings
from server.web.limits import Limits
from server.web.routing import RouteTableError
from server.web.table_loading import load_table


class ConfigError(Exception):
    """
    The configuration cannot be used.

    Attributes:
        faults: one line for each, with the path of its key and without any value.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _check_realm(realm: str) -> str:
    if not realm or not realm.isascii() or not realm.isprintable():
        raise ValueError("must be printable ASCII")
    return realm


class ListenSettings(Limits, StopSettings):
    """
    Where the API is served, what its clients may take, and how it ends.

    Attributes:
        workers: how many processes serve it; 0 is one for each core.
        trusted_proxies: those who are believed where a request came from.
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 3010
    workers: Workers = 1
    trusted_proxies: TrustedProxies = ()


class AdminSettings(Settings):
    """Where operators ask; never the public port."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 3012


class JwksSettings(RefreshPolicy):
    """
    How keys are kept current.

    Attributes:
        store: where processes share them.
    """

    store: StoreUrl = SecretStr("memory://")


class Config(Settings):
    """Everything that can be set; what is judged against another stands behind it."""

    realm: Annotated[str, AfterValidator(_check_realm)] = "quickstart"
    audience: Audiences | None = None
    routes: str = "server.routes:ROUTES"
    listen: ListenSettings = ListenSettings()
    admin: AdminSettings = AdminSettings()
    issuers: Annotated[tuple[IssuerSettings, ...], Field(min_length=1)]
    jwks: JwksSettings = JwksSettings()
    token_cache: TokenCacheSettings = TokenCacheSettings()
    cors: CorsSettings = CorsSettings()
    logging: LogSettings = LogSettings()
    dev_issuer: DevIssuerSettings = DevIssuerSettings()

    @field_validator("routes")
    @classmethod
    def _check_routes(cls, name: str) -> str:
        try:
            load_table(name)
        except RouteTableError as error:
            raise ValueError(str(error)) from error
        return name

    @field_validator("issuers")
    @classmethod
    def _check_issuers(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        names = [each.issuer for each in issuers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} is listed twice")
        return issuers

    @field_validator("dev_issuer")
    @classmethod
    def _check_dev_issuer(cls, dev: DevIssuerSettings, info: ValidationInfo) -> DevIssuerSettings:
        listen: ListenSettings | None = info.data.get("listen")
        if dev.enabled and listen is not None:
            if not is_loopback(listen.host):
                raise ValueError("must not run beside a public listener: see listen.host")
            if dev.port == listen.port:
                raise ValueError("must not have the port of listen")
        admin: AdminSettings | None = info.data.get("admin")
        if dev.enabled and admin is not None and dev.port == admin.port:
            raise ValueError("must not have the port of admin")
        return dev

    @field_validator("admin")
    @classmethod
    def _check_admin(cls, admin: AdminSettings, info: ValidationInfo) -> AdminSettings:
        listen: ListenSettings | None = info.data.get("listen")
        if listen is not None and admin.port == listen.port != 0:
            raise ValueError("must not have the port of listen")
        return admin

    @property
    def dev_audiences(self) -> Audiences:
        """What the development issuer's tokens may be for."""
        for each in self.issuers:
            if each.issuer == self.dev_issuer.name:
                return each.audience
        return self.audience or self.issuers[0].audience


def load(
    file: str | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """
    Read the configuration.

    Args:
        file: as named on the command line; else ``KEYTURN_CONFIG``, else config.yaml if it is here.
        environ: ``KEYTURN__…`` variables go over the file.
        overrides: from the command line; go over both.

    Raises:
        ConfigError: with every fault that there is.
    """
    faults: list[str] = []
    raw = read_file(file or environ.get("KEYTURN_CONFIG"), faults)
    if raw is None:
        raise ConfigError(faults)
    variables = apply_environment(raw, environ, faults)
    for group, values in (overrides or {}).items():
        members = raw.setdefault(group, {})
        if isinstance(members, dict):
            members.update(values)
    apply_quickstart_variables(raw, environ, faults)
    trust_dev_issuer(raw)
    inherited = inherit_audience(raw)
    if environ.get("AUTHLIB_INSECURE_TRANSPORT"):
        faults.append("AUTHLIB_INSECURE_TRANSPORT: turns off checks for https; unset it")
    config = None
    try:
        config = Config.model_validate(raw, context={"environ": environ})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        faults += _describe(details, inherited, variables)
    if config is None or faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return config


def _describe(
    details: Sequence[Mapping[str, Any]], inherited: set[int], variables: Mapping[Location, str]
) -> Iterator[str]:
    for detail in details:
        location = detail["loc"]
        match location:
            case ("issuers", int(index), "audience", *_) if index in inherited:
                continue  # told of the one at the top
            case ("issuers", int(), "audience") if detail["type"] == "missing":
                location, message = ("audience",), "required, here or with each issuer"
            case _ if detail["type"] == "too_short" and _has_faults_within(location, details):
                continue  # pydantic does not count the faulty ones
            case _:
                message = _message(detail)
                if isinstance(error := detail.get("ctx", {}).get("error"), SettingError):
                    location = (*location, error.key)
        origins = (name for set_, name in variables.items() if _overlap(set_, location))
        origin = next((f" (from {name})" for name in origins), "")
        yield f"{dotted(location)}: {message}{origin}"


def _has_faults_within(location: Location, details: Sequence[Mapping[str, Any]]) -> bool:
    return any(
        len(each["loc"]) > len(location) and _overlap(each["loc"], location) for each in details
    )


def _overlap(one: Location, other: Location) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


_MESSAGES = {
    "missing": "required",
    "extra_forbidden": "unknown key",
    "invalid_key": "a key is text",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "model_type": "must be a mapping of keys",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _message(detail: Mapping[str, Any]) -> str:
    if (message := _MESSAGES.get(detail["type"])) is not None:
        return message
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    message = str(detail["msg"]).replace("Input should be", "must be")
    return message[:1].lower() + message[1:]
