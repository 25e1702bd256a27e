"""Asking the API of Prefect as its own clients do: again while it is busy, for on SQLite two writers get a 503."""

import time

import httpx

BUSY_SECONDS = 60.0
PAUSE_SECONDS = 0.5


class Patient(httpx.HTTPTransport):
    """Sends a request again while the answer is 503."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            answer = super().handle_request(request)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end:
                return answer
            answer.read()
            time.sleep(PAUSE_SECONDS)
