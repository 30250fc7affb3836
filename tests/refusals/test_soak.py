"""Hostile requests without end: the process stays as it is; ``make fuzz`` sends fifty thousand."""

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import settings

from tests.minting import AUDIENCE, ISSUER, claims, header, private_key, public_jwk, sign
from tests.oauth.test_jose_fuzz import CORPUS
from tests.processes import Ports, Process, running
from tests.refusals.forging import NO_OBJECT

pytestmark = pytest.mark.fuzz

REQUESTS = 5 * settings().max_examples
AT_ONCE = 8
GROWTH = 20 * 1024  # KiB

EC = private_key("EC")
NO_HTTP = [
    b"hello\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /api/private HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    b"GET /api/private HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"x" * 17_000 + b"\r\n\r\n",
    b"GET /api/private HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"POST /api/private HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


def issued(**changes: object) -> str:
    now = int(time.time())
    return sign(claims(iat=now, exp=now + 3600, **changes), header(alg="ES256", kid=EC.kid), EC)


def hostile_tokens(chance: random.Random) -> Iterator[str]:
    """Tokens out of the corpus, damaged ones, and new ones that say too much or too little."""
    sound = issued().split(".")
    payload = json.dumps(claims()).encode()
    while True:
        yield chance.choice(list(CORPUS.values()))
        damaged = list(sound)
        part = chance.randrange(3)
        at = chance.randrange(len(damaged[part]))
        damaged[part] = (
            damaged[part][:at]
            + chance.choice("AZaz09-_=.".replace(damaged[part][at], ""))
            + damaged[part][at + 1 :]
        )
        yield ".".join(damaged)
        yield issued(aud=f"https://{chance.random()}.example")
        yield sign(claims(), header(alg="ES256", kid=f"invented-{chance.random()}"), EC)
        yield sign(
            chance.choice(list(NO_OBJECT.values()))(payload), header(alg="ES256", kid=EC.kid), EC
        )
        yield "".join(chance.choices("ABC.-_", k=chance.randrange(1, 8300)))


def hostile_requests(chance: random.Random) -> Iterator[bytes]:
    for number, compact in enumerate(hostile_tokens(chance)):
        if number % 10 == 0:
            yield chance.choice(NO_HTTP)
        line = b"Authorization: Bearer " + compact.encode()
        yield b"GET /api/private HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n"


async def answers_to(port: int, requests: Iterator[bytes]) -> Counter[int]:
    """Send them one after the other; the connection is kept for as long as the server keeps it."""
    statuses: Counter[int] = Counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        statuses[int(head.split()[1])] += 1
        length = re.search(rb"Content-Length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        if b"Connection: close" in head:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return statuses


def resident(process: Process) -> int:
    """Give what the process holds of memory, in KiB."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text("utf-8")
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def process(ports: Ports) -> Iterator[Process]:
    issuers = [{"issuer": ISSUER, "audience": AUDIENCE, "jwks": {"keys": [public_jwk(EC)]}}]
    environ = ports.environ | {
        "KEYTURN__ISSUERS": json.dumps(issuers),
        "KEYTURN__DEV_ISSUER__ENABLED": "false",
    }
    with running(environ=environ) as process:
        process.wait_for("server.started")
        yield process


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
async def test_what_strangers_send_leaves_the_process_as_it_was(
    process: Process, ports: Ports
) -> None:
    good = b"GET /api/private HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n"
    requests = hostile_requests(random.Random(1))
    await answers_to(ports.api, islice(requests, 300))  # what is used at all is loaded by then
    before = resident(process)

    shares = (islice(requests, REQUESTS // AT_ONCE) for _ in range(AT_ONCE))
    counted = await asyncio.gather(*(answers_to(ports.api, share) for share in shares))
    statuses = sum(counted, Counter())

    assert statuses.keys() <= {400, 401, 405, 431}, statuses
    assert statuses.total() == REQUESTS // AT_ONCE * AT_ONCE
    assert resident(process) - before < GROWTH
    last = await answers_to(ports.api, iter([good % issued().encode()]))
    assert last == {200: 1}
    assert process.stop() == 0
    assert "Traceback" not in "".join(process.out + process.err)
    assert not [each for each in process.events if each["level"] == "error"]
