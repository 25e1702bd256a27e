"""Clients that are slow, silent or endless, while nothing is live."""

import json
import socket
import threading

import pytest

from refit.release import placeholder as module
from refit.release.listening import listening
from refit.release.placeholder import Placeholder

PATIENCE = 10.0


@pytest.fixture
def listener():
    with listening("127.0.0.1", 0) as bound:
        yield bound


@pytest.fixture
def port(listener) -> int:
    return listener.getsockname()[1]


def asked(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        said = b"".join(iter(lambda: client.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 503 ")
    return json.loads(said.partition(b"\r\n\r\n")[2])["error"]["message"]


class Dribble(threading.Thread):
    """Sends one byte after the other for as long as anybody takes them."""

    def __init__(self, port: int, first: bytes) -> None:
        super().__init__(daemon=True)
        self._line = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._first = first
        self.enough = threading.Event()
        self.start()

    def run(self) -> None:
        with self._line:
            try:
                self._line.sendall(self._first)
                while not self.enough.wait(0.01):
                    self._line.sendall(b"x")
            except OSError:
                return


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n\r\n"], ids=["head", "body"])
def test_a_client_that_never_ends_does_not_keep_the_first_release_from_the_socket(listener, port, first):
    placeholder = Placeholder(listener)
    slow = Dribble(port, first)
    asked(port)
    closed = threading.Event()
    threading.Thread(target=lambda: (placeholder.close(), closed.set()), daemon=True).start()
    ended = closed.wait(PATIENCE)
    slow.enough.set()
    slow.join()
    assert ended


def test_clients_that_say_nothing_keep_nobody_waiting(listener, port, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 600.0)
    placeholder = Placeholder(listener)
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    try:
        asked(port)
        for one in silent:
            one.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert one.recv(12) == b"HTTP/1.1 503"
    finally:
        for one in silent:
            one.close()
        placeholder.close()


def test_the_reason_is_that_of_the_moment(listener, port):
    whys = iter(["this", 'now "that"'])
    placeholder = Placeholder(listener, lambda: next(whys))
    assert [asked(port), asked(port)] == ["this", 'now "that"']
    placeholder.close()


def test_who_has_asked_is_answered_though_the_end_has_come(listener, port):
    placeholder = Placeholder(listener)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 503"
        placeholder.close()
        client.sendall(b"late")
        assert client.recv(4096).endswith(b"}")
