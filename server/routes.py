"""Every path, its handler, and who may.  Read this first."""

from server.resources import private_message, public_message, scoped_message
from server.web import authenticated, get, public, scope

ROUTES = (
    get("/api/public", public_message, public),
    get("/api/private", private_message, authenticated),
    get("/api/private-scoped", scoped_message, scope("read:messages")),
)
