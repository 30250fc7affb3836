from typing import Any

import pytest
from aiohttp import web

from server.web import authenticated, delete, get, patch, post, public, put, route, scope
from server.web.routing import RouteTable, RouteTableError


async def handler(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize(
    ("declare", "method"),
    [(get, "GET"), (post, "POST"), (put, "PUT"), (patch, "PATCH"), (delete, "DELETE")],
)
def test_a_row_is_declared_by_its_method(declare: Any, method: str) -> None:
    row = declare("/x", handler, authenticated)

    assert (row.method, row.path, row.access) == (method, "/x", authenticated)


def test_any_method_can_be_declared() -> None:
    assert route("report", "/x", handler, public).method == "REPORT"


@pytest.mark.parametrize("declare", [get, post, put, patch, delete])
def test_the_last_column_has_no_default(declare: Any) -> None:
    with pytest.raises(TypeError):
        declare("/x", handler)


def refusal(*rows: Any) -> str:
    with pytest.raises(RouteTableError) as refused:
        RouteTable(web.Application(), rows)
    return str(refused.value)


@pytest.mark.parametrize("access", [None, "read:messages", True, scope, ["a"]])
def test_a_row_that_does_not_say_who_may_is_refused(access: Any) -> None:
    assert refusal(get("/x", handler, access)) == (
        "GET /x: say who may: public, authenticated, scope(…)"
    )


def test_what_is_no_row_is_refused() -> None:
    assert "is no route" in refusal(("GET", "/x", handler, public))


def test_a_path_that_is_no_string_is_refused() -> None:
    assert refusal(get(5, handler, public)) == "GET 5: a path is a string"  # type: ignore[arg-type]


def test_a_row_that_stands_there_twice_is_refused() -> None:
    rows = get("/x", handler, public), get("/y", handler, public), get("/x", handler, authenticated)

    assert refusal(*rows) == "GET /x is in the route table twice"


@pytest.mark.parametrize("path", ["x", "/{", "/{a}{a}"])
def test_a_path_that_aiohttp_does_not_take_is_refused(path: str) -> None:
    assert refusal(get(path, handler, public)).startswith(f"GET {path}: ")


async def test_a_route_that_the_table_does_not_know_stops_the_start() -> None:
    app = web.Application()
    RouteTable(app, [get("/x", handler, public)])
    app.router.add_get("/back-door", handler, allow_head=False)

    with pytest.raises(RouteTableError, match="GET /back-door is not in the route table"):
        await web.AppRunner(app).setup()


async def test_a_route_of_a_nested_application_stops_the_start_too() -> None:
    app, nested = web.Application(), web.Application()
    RouteTable(app, [get("/x", handler, public)])
    nested.router.add_post("/back-door", handler)
    app.add_subapp("/nested", nested)

    with pytest.raises(RouteTableError, match="POST /nested/back-door"):
        await web.AppRunner(app).setup()


def test_a_head_route_with_another_rule_is_refused() -> None:
    rows = route("HEAD", "/x", handler, public), get("/x", handler, authenticated)

    assert refusal(*rows) == "HEAD /x must have the rule of GET"


def test_a_handler_that_cannot_be_called_is_refused() -> None:
    row = get("/x", 5, public)  # type: ignore[arg-type]

    assert refusal(row) == "GET /x: its handler cannot be called"


def test_a_head_route_of_its_own_is_kept() -> None:
    app = web.Application()

    RouteTable(app, [route("HEAD", "/x", handler, scope("a")), get("/x", handler, scope("a"))])

    assert sorted(each.method for each in app.router.routes()) == ["GET", "HEAD"]
