"""Asks an ASGI application as a browser would, without a server.

Not starlette's own test client: that one warns that it wants another HTTP library.
"""

import asyncio
from dataclasses import dataclass

import httpx
from starlette.types import ASGIApp


@dataclass
class Browser:
    app: ASGIApp
    base_url: str = "http://127.0.0.1:8080"

    def get(self, path: str, **options) -> httpx.Response:
        return self.ask("get", path, **options)

    def post(self, path: str, **options) -> httpx.Response:
        return self.ask("post", path, **options)

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **options))

    async def _ask(self, method: str, path: str, **options) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
            return await client.request(method, path, **options)
