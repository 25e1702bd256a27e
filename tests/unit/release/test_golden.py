import errno
import json
import os
import socket
import threading
from pathlib import Path

import pytest

from refit.errors import ReleaseError
from refit.release.golden import SLICES, Connection, carried, check, probe
from refit.scoring.bundle import GoldenRecord

GOLDEN = (GoldenRecord({"a": 1.0}, 0.25), GoldenRecord({"a": 2.0}, 1e-6))


class FakeService(threading.Thread):
    """Answers HTTP at one end of a socket pair with the probabilities it was given."""

    def __init__(self, *answers: object, version: str = "v1", status: int = 200) -> None:
        super().__init__(daemon=True)
        self.client, self._end = socket.socketpair()
        self._answers = [{"version": version}, *answers]
        self._status = status
        self.start()

    def run(self) -> None:
        with self._end, self._end.makefile("rb") as requests:
            for answer in self._answers:
                headers = list(iter(requests.readline, b"\r\n"))
                if not headers[0]:
                    return
                length = next((int(h.split(b":")[1]) for h in headers if h.lower().startswith(b"content-length")), 0)
                requests.read(length)
                body = json.dumps(answer).encode()
                self._end.sendall(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (self._status, len(body)) + body)


def asked(service: FakeService, seconds: float = 5.0) -> None:
    with service.client:
        check(service.client, "v1", GOLDEN, seconds)
    service.join(5)


def test_right_answers_pass():
    asked(FakeService({"probability": 0.25}, {"probability": 1e-6 + 5e-10}))


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (({"probability": 0.2500004},), "golden record 1 of 2: answered 0.2500004, expected 0.25"),
        (({"probability": 0.25}, {"probability": 2e-6}), "golden record 2 of 2"),
        (({"probability": float("nan")},), "answered nan"),
        (({"probability": None},), "answered None"),
        (({"probability": "0.25"},), "answered '0.25'"),
        (({},), "answered None"),
        (([1],), "expected 200 and a JSON object"),
        ((), "POST /predict gave no answer"),
    ],
)
def test_a_wrong_or_absent_answer_is_refused(answers, why):
    with pytest.raises(ReleaseError, match=why):
        asked(FakeService(*answers))


def test_a_difference_beyond_one_in_a_million_counts():
    with pytest.raises(ReleaseError):
        asked(FakeService({"probability": 0.25 * (1 + 1.1e-6)}))
    asked(FakeService({"probability": 0.25 * (1 + 0.9e-6)}, {"probability": 1e-6}))


def test_another_version_is_refused():
    with pytest.raises(ReleaseError, match="says version 'v0', the release is 'v1'"):
        asked(FakeService(version="v0"))


def test_a_status_other_than_200_is_refused():
    with pytest.raises(ReleaseError, match="GET /model answered 500"):
        asked(FakeService(status=500))


def test_silence_is_refused_in_time():
    client, silent = socket.socketpair()
    with client, silent, pytest.raises(ReleaseError, match="GET /model took too long"):
        check(client, "v1", GOLDEN, 0.05)


@pytest.fixture
def reads(monkeypatch):
    """What becomes of our attempts to read, one after the other: "late" where the time is over with nothing to read."""
    left: list[str] = []
    read = socket.socket.recv_into

    def reading(connection: socket.socket, buffer: memoryview, *_given: object) -> int:
        if isinstance(connection, Connection) and left and left.pop(0) == "late":
            raise TimeoutError
        return read(connection, buffer, 16)

    monkeypatch.setattr(socket.socket, "recv_into", reading)
    return left


@pytest.mark.parametrize("becomes", [["late"], ["read", "late"]], ids=["before an answer", "amid an answer"])
def test_a_machine_that_stood_still_for_longer_than_an_answer_may_take_is_not_taken_for_silence(reads, becomes):
    service = FakeService(*({"probability": record.probability} for record in (*GOLDEN, GOLDEN[0])))
    with Connection(fileno=service.client.detach()) as client:
        check(client, "v1", GOLDEN, 60.0)
        reads += becomes
        assert probe(client, GOLDEN[0], 60.0)
    assert reads == []
    service.join(60)


def test_silence_while_live_is_told_once_all_of_its_time_is_over(reads):
    ours, silent = socket.socketpair()
    with Connection(fileno=ours.detach()) as client, silent:
        reads += ["late"] * (SLICES - 1)
        with pytest.raises(ReleaseError, match="POST /predict took too long"):
            probe(client, GOLDEN[0], 0.05)
        assert client.gettimeout() == pytest.approx(0.05 / SLICES)
    assert reads == []


def test_golden_records_are_read_from_the_bundle(tmp_path):
    records = [{"inputs": record.inputs, "probability": record.probability} for record in GOLDEN]
    (tmp_path / "golden.json").write_text(json.dumps(records))
    assert carried(tmp_path) == GOLDEN


@pytest.mark.parametrize("content", [None, "", "[]", "[1]", "{}", '[{"inputs": {}}]'])
def test_a_bundle_that_carries_none_cannot_be_released(tmp_path, content):
    if content is not None:
        (tmp_path / "golden.json").write_text(content)
    with pytest.raises(ReleaseError, match="carries no golden records"):
        carried(tmp_path)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.ESTALE], ids=errno.errorcode.get)
def test_a_disk_that_does_not_say_what_a_bundle_carries_is_no_refusal(tmp_path, monkeypatch, code):
    def refuses(_path: Path) -> bytes:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "read_bytes", refuses)
    with pytest.raises(OSError, match=os.strerror(code)):
        carried(tmp_path)


def test_a_file_where_the_bundles_folder_belongs_carries_none(tmp_path):
    (tmp_path / "bundle").write_text("")
    with pytest.raises(ReleaseError, match="carries no golden records"):
        carried(tmp_path / "bundle")
