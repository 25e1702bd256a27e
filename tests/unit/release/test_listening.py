import signal
import socket
import threading
import urllib.error
import urllib.request

import pytest

from refit.errors import OutageError
from refit.release import listening as module
from refit.release.listening import ended_by_signals, listening
from refit.release.placeholder import Placeholder


@pytest.fixture
def taken():
    with listening("127.0.0.1", 0) as bound:
        yield bound


def test_a_taken_port_is_named_with_the_setting_that_moves_it(taken, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    port = taken.getsockname()[1]
    with pytest.raises(OutageError, match=rf"127\.0\.0\.1:{port}: Address already in use.*REFIT_SERVICE_PORT"):
        listening("127.0.0.1", port)


def test_a_port_that_becomes_free_in_a_moment_is_waited_for(taken):
    port = taken.getsockname()[1]
    threading.Timer(0.2, taken.close).start()
    with listening("127.0.0.1", port) as bound:
        assert bound.getsockname()[1] == port


def test_an_address_that_is_not_ours_is_an_outage_not_a_trace(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    with pytest.raises(OutageError, match="cannot listen on"):
        listening("192.0.2.1", 0, open_to_all=True)


def test_a_name_that_does_not_exist_is_an_outage_not_a_trace():
    with pytest.raises(OutageError, match="cannot listen on"):
        listening("no such host", 0)


def test_both_signals_call_stop_and_are_given_back_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    calls = []
    with ended_by_signals(lambda: calls.append(1)):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert calls == [1, 1]
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_signals_are_left_alone():
    done = []

    def run() -> None:
        with ended_by_signals(lambda: None):
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]


def test_the_placeholder_answers_503_until_it_is_closed(taken):
    port = taken.getsockname()[1]
    placeholder = Placeholder(taken)
    for body in (None, b"{}", b"x" * 200_000):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/predict", data=body, timeout=5)
        with refused.value as answer:
            assert (answer.code, answer.headers["retry-after"]) == (503, "2")
            assert b"no release is live yet" in answer.read()
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(b"GET")
        placeholder.close()
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
        taken.settimeout(5)
        connection, _ = taken.accept()
        connection.close()
