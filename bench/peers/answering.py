"""What every server of the benchmark answers."""

from typing import Any

MESSAGE = (
    "Hello from a private endpoint! You need an access token with the scope read:messages "
    "to see this."
)


def answer_for(subject: str, scope: str) -> dict[str, Any]:
    return {"message": MESSAGE, "subject": subject, "scopes": scope.split(" ")}
