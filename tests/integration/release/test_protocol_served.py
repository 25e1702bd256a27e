"""A real generation, asked as a stock Java client asks, and flooded."""

import http.client
import json
import socket

import psutil
import pytest

from refit.release.protocol import MAX_HEAD
from tests.integration.release.test_supervisor import PATIENCE, FakeLedger, generations, supervised, wait_until

H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
FLOOD = 1 << 20
MANY = 1_000
"""So many pages are more than the kernel keeps for who does not read them."""


@pytest.fixture
def port(bentos):
    ledger = FakeLedger(bentos[0].release(1))
    with supervised(ledger) as supervisor:
        wait_until(lambda: ledger.live == [1])
        yield supervisor.port


def test_a_client_that_offers_h2c_with_each_request_is_answered_over_one_connection(port, bentos, capfd):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    ours = []
    for golden in bentos[0].bundle.golden:
        client.request("POST", "/predict", json.dumps(golden.inputs), H2C)
        answered = client.getresponse()
        assert json.loads(answered.read())["probability"] == golden.probability
        ours.append(client.sock.getsockname())
    many = [golden.inputs for golden in bentos[0].bundle.golden]
    client.request("POST", "/predict/batch", iter([json.dumps(many).encode()]), H2C, encode_chunked=True)
    assert len(json.loads(client.getresponse().read())["predictions"]) == len(many)
    assert {*ours, client.sock.getsockname()} == {ours[0]}
    client.close()
    assert "upgrade" not in capfd.readouterr().err.lower()


def test_a_head_without_an_end_is_cut_off(port):
    line = b"X-A: " + b"a" * 1000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as flooding:
        flooding.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_HEAD)
        heard = b""
        try:
            flooding.sendall(b"POST /predict HTTP/1.1\r\n" + line * (64 * FLOOD // len(line)))
            while part := flooding.recv(4096):
                heard += part
        except ConnectionError:  # what it had not read takes the answer along
            pass
        else:
            assert heard.startswith(b"HTTP/1.1 431 ")
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    client.request("GET", "/readyz")
    assert client.getresponse().status == 200
    client.close()


def test_a_client_that_reads_no_answer_is_cut_off_and_the_next_is_answered(bentos):
    ledger = FakeLedger(bentos[0].release(1))
    with supervised(ledger, environment={"REFIT_REQUEST_SECONDS": "1"}) as supervisor:
        wait_until(lambda: ledger.live == [1])
        serving = psutil.Process(supervisor._live.process.pid)
        with socket.create_connection(("127.0.0.1", supervisor.port), PATIENCE) as deaf:
            deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * MANY)
            ours = deaf.getsockname()
            wait_until(lambda: all(each.raddr != ours for each in serving.net_connections("tcp")))
        client = http.client.HTTPConnection("127.0.0.1", supervisor.port, timeout=PATIENCE)
        client.request("POST", "/predict", json.dumps(bentos[0].bundle.golden[0].inputs))
        assert client.getresponse().status == 200
        client.close()
        assert generations() == [serving]
