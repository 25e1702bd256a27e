"""Clients that never stop asking, and count every answer."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counts:
    """How the requests of all clients ended."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)


@contextmanager
def load(port: int, key: str, record: Mapping[str, Any], clients: int = 4) -> Iterator[Counts]:
    """Ask for predictions all the time, over connections that are kept open."""
    counts, ending, lock = Counts(), threading.Event(), threading.Lock()
    body = json.dumps(record)
    headers = {"content-type": "application/json", "x-api-key": key}

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not ending.is_set():
            try:
                connection.request("POST", "/predict", body, headers)
                answer = connection.getresponse()
                content = answer.read()
                problem = None if answer.status == http.client.OK else f"{answer.status} {content[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                problem = repr(error)
                connection.close()
            with lock:
                if problem is None:
                    counts.answered += 1
                    counts.versions.add(json.loads(content)["model_version"])
                else:
                    counts.failed.append(problem)
            ending.wait(0.01)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        ending.set()
        for thread in threads:
            thread.join()
