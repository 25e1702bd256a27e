"""A body's bounds: its own, and what all bodies may hold together."""

import asyncio
import json

import httpx
import pytest

from bentos.answers import RefusalError
from bentos.body import FREE, MAX_BATCH_BODY, MAX_BODIES, DisconnectedError, Room, read
from bentos.desk import Desk
from tests.unit.bentos import conftest as toy

GOOD = {"amount": 750}
LARGE = json.dumps([GOOD] * 10_000).encode()


def given(*parts: bytes):
    """Return what hands out a body in parts; a part that is missing is a client that left."""
    left = list(parts)

    async def receive():
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return receive


def test_a_body_takes_of_the_room_what_it_holds_beyond_its_own_and_gives_all_of_it_back():
    room = Room(100)
    with room.share() as one, room.share() as two:
        one.grow(FREE)
        assert room.held == 0
        one.grow(FREE + 60)
        one.grow(FREE + 70)
        two.grow(FREE + 30)
        assert room.held == room.limit
        with pytest.raises(RefusalError) as refused:
            two.grow(FREE + 31)
        assert (refused.value.answer.status, refused.value.code) == (503, "refused")
        assert (b"retry-after", b"1") in refused.value.answer.headers
        one.empty()
        two.grow(FREE + 31)
    assert room.held == 0


@pytest.mark.parametrize("error", [DisconnectedError, RefusalError], ids=["a client that leaves", "one too large"])
def test_a_body_that_ends_badly_gives_its_room_back(error):
    room = Room()
    limit = FREE * 4 if error is DisconnectedError else FREE * 2

    async def ask():
        with room.share() as share:
            await read(
                {}, given(*[b"x" * FREE] * 3, *([b"x" * (64 << 20)] if error is RefusalError else [])), limit, share
            )

    with pytest.raises(error):
        asyncio.run(ask())
    assert room.held == 0


def test_a_body_that_is_too_large_holds_nothing_while_its_rest_is_dropped():
    room, seen = Room(), []
    parts = [b"x" * FREE] * 8
    receive = given(*parts)

    async def looking():
        seen.append(room.held)
        return await receive()

    async def ask():
        with room.share() as share:
            await read({}, looking, FREE * 3, share)

    with pytest.raises(DisconnectedError):
        asyncio.run(ask())
    assert seen == [0, 0, FREE, 2 * FREE, 0, 0, 0, 0, 0]


def test_a_body_within_its_own_bound_always_fits_where_it_is_alone():
    assert MAX_BATCH_BODY <= MAX_BODIES


class Unfinished(httpx.AsyncByteStream):
    """A large body whose end never comes."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()

    async def __aiter__(self):
        yield LARGE[: 3 * FREE]
        self.sent.set()
        await asyncio.Event().wait()


def test_where_bodies_take_all_the_room_a_large_one_is_told_to_come_again_and_a_record_is_answered():
    desk = Desk(toy.bundle())
    desk._room = Room(3 * FREE)

    async def privately(scope, receive, send):
        await desk(scope | {"state": {"refit_private": True}}, receive, send)

    async def ask():
        own = httpx.AsyncClient(transport=httpx.ASGITransport(app=privately), base_url="http://refit")
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=desk), base_url="http://refit")
        async with client, own:
            body = Unfinished()
            first = asyncio.create_task(client.post("/predict/batch", content=body))
            await body.sent.wait()
            refused = await client.post("/predict/batch", content=LARGE)
            small, ours = await client.post("/predict", json=GOOD), await own.post("/predict/batch", content=LARGE)
            first.cancel()
            await asyncio.wait([first])
            desk._room.limit = len(LARGE)
            return refused, small, ours, await client.post("/predict/batch", content=LARGE)

    refused, small, ours, again = asyncio.run(ask())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"]["code"] == "refused"
    assert (small.status_code, ours.status_code, again.status_code) == (200, 200, 200)
    assert desk._room.held == 0
