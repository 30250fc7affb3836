"""
The door: everything that answers.

What a route table is written with; the rest is between the door's own files.  Reading order:
routing, table_loading, exchange, problems, protection, cors, answering, observation, trace,
client_address, granted_line, measurement, limits, patience, refusal, connection, door, spans,
listener, acceptor, operations, metrics_page.
"""

from server.oauth.access_token import AccessToken
from server.oauth.scope import (
    authenticated,
    claim_check,
    claim_equals,
    claim_includes,
    permission,
    scope,
)
from server.web.routing import (
    ACCESS_TOKEN,
    delete,
    get,
    patch,
    post,
    public,
    put,
    route,
)

__all__ = [
    "ACCESS_TOKEN",
    "AccessToken",
    "authenticated",
    "claim_check",
    "claim_equals",
    "claim_includes",
    "delete",
    "get",
    "patch",
    "permission",
    "post",
    "public",
    "put",
    "route",
    "scope",
]
