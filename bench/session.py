"""What all measurements of one run share: the issuer, its tokens, the cores, what was found."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.contestants import Arena, Samples
from bench.issuer import SigningKey, Wording, mint_all, publish
from bench.load import Tokens
from bench.processes import Cores, Program, free_port
from bench.progress import Step

_OTHERS = 1_001  # before them: the one token, and the thousand
_SAMPLE = 9_000_000  # beyond all that are sent


@dataclass
class Session:
    """
    One run.

    Attributes:
        work: a directory for all that is written.
        stack: what ends with the run.
        quick: whether to look that all works, rather than to measure.
        found: the findings, by section.
        skipped: what was not measured, and why.
    """

    work: Path
    stack: ExitStack
    quick: bool = False
    found: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    _sent: dict[str, int] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    @property
    def seconds(self) -> int:
        """How long one run of wrk takes."""
        return 1 if self.quick else 3

    @property
    def token_count(self) -> int:
        """Four times what any cache here keeps, so that none of them holds the next one."""
        return 12_000 if self.quick else 40_000

    @cached_property
    def cores(self) -> Cores:
        return Cores.for_workers(1)

    @cached_property
    def key(self) -> SigningKey:
        return SigningKey.generate("key-0000")

    @property
    def jwks(self) -> Path:
        return self.work / "jwks.json"

    @cached_property
    def issuer(self) -> str:
        """The issuer's name; it is started when this is asked for first."""
        publish(self.jwks, self.key)
        port = free_port()
        program = Program(
            [sys.executable, "-m", "bench.issuer", str(self.jwks), str(port)],
            port=port,
            log=self.work / "issuer.log",
            cores=self.cores.load,
            environ={},
        )
        self.stack.callback(program.stop)
        return f"http://127.0.0.1:{port}/"

    @cached_property
    def wording(self) -> Wording:
        return Wording(self.issuer, self.key.key_id)

    @property
    def arena(self) -> Arena:
        return Arena(self.work, self.issuer, self.cores.server)

    @cached_property
    def samples(self) -> Samples:
        one = range(_SAMPLE, _SAMPLE + 1)
        (good,) = self.key.mint(self.wording, one)
        (forged,) = SigningKey.generate(self.key.key_id).mint(self.wording, one)
        other = Wording(self.issuer, self.key.key_id, scope="read:nothing")
        (without_scope,) = self.key.mint(other, one)
        return Samples(good, forged, without_scope)

    @property
    def token_file(self) -> Path:
        return self.work / "tokens.txt"

    def minting(self) -> Step:
        """Give the step that makes all tokens; takes both cores, before anything is measured."""
        seconds = self.token_count / 2500
        return Step(f"minting {self.token_count:,} tokens", seconds, self._mint)

    def _mint(self) -> None:
        with self.token_file.open("w", encoding="ascii") as file:
            for chunk in mint_all(self.key, self.wording, self.token_count):
                file.writelines(f"{token}\n" for token in chunk)

    def one_token(self) -> Tokens:
        return Tokens(self.token_file, 0, 1)

    def thousand_tokens(self) -> Tokens:
        return Tokens(self.token_file, 1, 1_000)

    def new_tokens(self, server: str) -> Tokens:
        """Give tokens that *server* has not seen, or has forgotten: it goes through all in turn."""
        count = self.token_count - _OTHERS
        return Tokens(self.token_file, _OTHERS, count, self._sent.get(server, 0) % count)

    def have_sent(self, server: str, count: int) -> None:
        """Take note that *server* has had *count* more of the new tokens."""
        self._sent[server] = self._sent.get(server, 0) + count
