"""What the development issuer is and whom it knows."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from server.settings import IssuerUrl, Port, Seconds, Settings, is_loopback


def _check_loopback(host: str) -> str:
    if not is_loopback(host):
        raise ValueError("must be a loopback address: this issuer is for one machine")
    return host


class Client(Settings):
    """A client that may ask for tokens, with the scopes it may ask for."""

    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr
    scopes: tuple[str, ...] = ()


class User(Settings):
    """A user who may be asked for by name and password, with the scopes that are theirs."""

    username: Annotated[str, Field(min_length=1)]
    password: SecretStr
    scopes: tuple[str, ...] = ()


class DevIssuerSettings(Settings):
    """
    Attributes:
        rotate_every: the life of a signing key, while the server runs.
        issuer: its name; ``http://localhost:PORT/`` if absent.
    """

    enabled: bool = False
    host: Annotated[str, AfterValidator(_check_loopback)] = "127.0.0.1"
    port: Port = 3011
    issuer: IssuerUrl | None = None
    rotate_every: Annotated[Seconds, Field(ge=1)] = 600.0
    token_lifetime: Annotated[Seconds, Field(ge=1)] = 3600.0
    clients: tuple[Client, ...] = (
        Client(
            client_id="keyturn-dev",
            client_secret=SecretStr("dev-secret"),
            scopes=("read:messages",),
        ),
    )
    users: tuple[User, ...] = (
        User(username="user@example.com", password=SecretStr("pwd"), scopes=("read:messages",)),
    )

    @property
    def name(self) -> str:
        """The issuer's name, as it stands in ``iss``."""
        return self.issuer or f"http://localhost:{self.port}/"
