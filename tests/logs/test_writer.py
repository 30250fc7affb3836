import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.logs.output import Output, open_output
from server.logs.writer import LineWriter

PATIENCE = 10.0


class Pipe:
    """A pipe whose reader reads when it is asked to."""

    def __init__(self) -> None:
        self.reader, self.end = os.pipe()
        self.output = open_output(self.end)

    def read(self) -> bytes:
        """Take what has been written."""
        os.set_blocking(self.reader, False)
        taken = b""
        try:
            while more := os.read(self.reader, 1 << 20):
                taken += more
        except BlockingIOError:
            pass
        return taken

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        self.output.close()
        for each in {self.reader, self.end} - {-1}:
            os.close(each)


class Disk:
    """An output that waits while it is told to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_free = threading.Event()
        self.output = Output(self.write)

    def write(self, piece: bytes) -> int:
        assert self.is_free.wait(PATIENCE)
        self.written.append(piece)
        return len(piece)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def writers() -> Iterator[Callable[..., LineWriter]]:
    made: list[LineWriter] = []

    def make(
        output: Output, *, limit: int = 64 * 1024, prompt: bool = False, threaded: bool = True
    ) -> LineWriter:
        writer = LineWriter(lambda lines: writer.write(b"dropped %d\n" % lines), limit=limit)
        writer.attach(output, prompt=prompt, threaded=threaded)
        made.append(writer)
        return writer

    yield make
    for each in made:
        each.flush(0)


Writers = Callable[..., LineWriter]


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def numbered(count: int, size: int = 100) -> list[bytes]:
    return [b"%d " % number + b"x" * size + b"\n" for number in range(count)]


def apart(written: bytes) -> tuple[list[bytes], int]:
    """Give the lines, and how many more are told to be dropped."""
    lines = written.splitlines(keepends=True)
    told = [line for line in lines if line.startswith(b"dropped")]
    return [line for line in lines if line not in told], sum(int(line.split()[1]) for line in told)


def test_lines_leave_in_their_order(pipe: Pipe, writers: Writers) -> None:
    writer = writers(pipe.output)
    lines = numbered(200)

    for line in lines:
        writer.write(line)

    assert writer.flush(PATIENCE)
    assert pipe.read() == b"".join(lines)


def test_what_nobody_adds_to_leaves_soon(pipe: Pipe, writers: Writers) -> None:
    writer = writers(pipe.output)

    for line in (b"first\n", b"second\n"):
        writer.write(line)
        taken = queue.SimpleQueue[bytes]()
        threading.Thread(target=lambda to=taken: to.put(os.read(pipe.reader, 100))).start()

        assert taken.get(timeout=PATIENCE) == line


@pytest.mark.parametrize("how", [{"prompt": True}, {"threaded": False}])
def test_a_prompt_writer_writes_each_line_at_once(
    pipe: Pipe, writers: Writers, how: dict[str, bool]
) -> None:
    writer = writers(pipe.output, **how)

    writer.write(b"line\n")

    assert pipe.read() == b"line\n"


def test_without_a_thread_there_is_none(pipe: Pipe, writers: Writers) -> None:
    before = threading.active_count()
    writer = writers(pipe.output, threaded=False)

    writer.write(b"line\n")

    assert threading.active_count() == before


def test_no_piece_is_longer_than_a_pipe_takes_at_once(writers: Writers) -> None:
    pieces: list[bytes] = []
    lines = numbered(300)

    def write(piece: bytes) -> int:
        pieces.append(piece)
        return len(piece)

    writer = writers(Output(write, waits=False))

    for line in lines:
        writer.write(line)

    assert writer.flush(PATIENCE)
    assert max(map(len, pieces)) <= 4096
    assert len(pieces) <= 11
    assert b"".join(pieces) == b"".join(lines)


def test_a_full_pipe_costs_lines_that_are_counted_and_told(pipe: Pipe, writers: Writers) -> None:
    writer = writers(pipe.output)
    lines = numbered(4000)

    for line in lines:
        writer.write(line)
    assert not writer.flush(0)
    taken = [pipe.read()]
    while not writer.flush(0.01):
        taken.append(pipe.read())
    taken.append(pipe.read())

    written, told = apart(b"".join(taken))
    assert written == [line for line in lines if line in set(written)]
    assert told == writer.dropped == len(lines) - len(written) > 0


def test_a_reader_that_has_gone_costs_lines_and_nothing_else(pipe: Pipe, writers: Writers) -> None:
    writer = writers(pipe.output)
    pipe.close_reader()

    for line in numbered(100):
        writer.write(line)

    assert writer.flush(PATIENCE)
    assert writer.dropped == 100


def test_a_closed_output_costs_lines_and_nothing_else(writers: Writers) -> None:
    writer = writers(open_output(-1))

    writer.write(b"line\n")

    assert writer.flush(PATIENCE)
    assert writer.dropped == 1


def test_a_reader_that_comes_back_gets_lines_again(tmp_path: Path, writers: Writers) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    end = os.open(fifo, os.O_WRONLY)
    output = open_output(end)
    writer = writers(output, threaded=False)
    os.close(reader)
    writer.write(b"lost\n")

    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer.write(b"found\n")

    assert os.read(reader, 100) == b"found\ndropped 1\n"
    output.close()
    os.close(reader)
    os.close(end)


def test_a_pipe_keeps_waiting_for_others_who_have_it(pipe: Pipe) -> None:
    assert not pipe.output.waits
    assert os.get_blocking(pipe.end)


def test_a_pipe_that_does_not_wait_is_taken_as_it_is(pipe: Pipe) -> None:
    os.set_blocking(pipe.end, False)

    output = open_output(pipe.end)

    assert not output.waits
    assert output.write(b"line\n") == 5
    assert pipe.read() == b"line\n"


def test_a_socket_is_not_waited_for(writers: Writers) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        output = open_output(ours.fileno())
        writer = writers(output)

        for line in numbered(20_000):
            writer.write(line)

        assert writer.dropped
        assert theirs.recv(100).startswith(b"0 xxx")
        assert ours.getblocking()
        theirs.close()
        assert writer.flush(PATIENCE)
        output.close()


def test_a_partial_write_is_gone_on_with(writers: Writers) -> None:
    taken: list[bytes] = []

    def write(piece: bytes) -> int:
        taken.append(piece[:7])
        return len(taken[-1])

    writer = writers(Output(write, waits=False))
    lines = numbered(3)

    for line in lines:
        writer.write(line)

    assert writer.flush(PATIENCE)
    assert b"".join(taken) == b"".join(lines)


def test_a_disk_that_hangs_makes_nobody_wait(writers: Writers) -> None:
    disk = Disk()
    writer = writers(disk.output)
    lines = numbered(4000)

    for line in lines:
        writer.write(line)
    assert not writer.close(0)
    disk.is_free.set()
    assert writer.flush(PATIENCE)

    written, told = apart(b"".join(disk.written))
    assert written == [line for line in lines if line in set(written)]
    assert told == writer.dropped == len(lines) - len(written) > 0


def test_lines_of_several_threads_all_arrive(writers: Writers, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        writer = writers(open_output(file.fileno()), limit=1 << 24)

        def write() -> None:
            for line in numbered(2000):
                writer.write(line)

        threads = [threading.Thread(target=write) for _ in range(4)]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert writer.flush(PATIENCE)
    written = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    assert sorted(written) == sorted(numbered(2000) * 4)


def test_after_a_flush_lines_go_on(pipe: Pipe, writers: Writers) -> None:
    writer = writers(pipe.output)

    for line in (b"first\n", b"second\n"):
        writer.write(line)
        assert writer.flush(PATIENCE)

        assert pipe.read() == line


def test_once_closed_a_writer_writes_at_once(pipe: Pipe, writers: Writers) -> None:
    writer = writers(pipe.output)
    writer.write(b"line\n")

    assert writer.close(PATIENCE)
    writer.write(b"late\n")

    assert pipe.read() == b"line\nlate\n"


def test_in_a_forked_process_a_writer_has_nothing_of_its_parent(
    pipe: Pipe, writers: Writers
) -> None:
    writer = writers(pipe.output)
    writer.write(b"line\n")

    writer.start_afresh()
    writer.write(b"of the child\n")

    assert writer.flush(PATIENCE)
    assert b"of the child\n" in pipe.read()


def test_idle_a_writer_sleeps(pipe: Pipe, writers: Writers) -> None:
    writer = writers(pipe.output)
    writer.write(b"line\n")
    until(lambda: pipe.read() == b"line\n")

    until(lambda: writer._gather < 0)  # noqa: SLF001 (the thread's own word for it)

    writer.write(b"wakes it\n")
    until(lambda: pipe.read() == b"wakes it\n")
