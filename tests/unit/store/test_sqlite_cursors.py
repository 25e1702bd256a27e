"""A server on SQLite, seen from its event loop: a statement that failed long ago must not stop the loop."""

import asyncio
import gc
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from refit.store.sqlite_cursors import let_go_of_failed_statements

INSERT = text("INSERT INTO places VALUES (:place)")
PATIENCE_MS = 3000


@asynccontextmanager
async def _two_connections(path):
    """Give two connections to one database in which place 1 is taken."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    let_go_of_failed_statements(engine.sync_engine)
    try:
        async with engine.connect() as ours, engine.connect() as theirs:
            for connection in (ours, theirs):
                await connection.execute(text("PRAGMA journal_mode = WAL"))
                await connection.execute(text(f"PRAGMA busy_timeout = {PATIENCE_MS}"))
            await ours.execute(text("CREATE TABLE places (place INTEGER PRIMARY KEY)"))
            await ours.execute(INSERT, {"place": 1})
            await ours.commit()
            yield ours, theirs
    finally:
        await engine.dispose()


async def _refusal(connection, insert, places):
    """Return what a taken place leaves behind: with the error hangs the cursor that met it."""
    with pytest.raises(IntegrityError) as refusal:
        await connection.execute(insert, places)
    await connection.rollback()
    return [refusal.value]


@pytest.mark.parametrize("places", [{"place": 1}, [{"place": 1}, {"place": 1}]], ids=["execute", "executemany"])
def test_garbage_of_a_failed_statement_does_not_wait_for_the_write_of_another(tmp_path, places):
    async def story():
        async with _two_connections(tmp_path / "places.db") as (ours, theirs):
            left_behind = await _refusal(theirs, INSERT, places)
            await ours.execute(INSERT, {"place": 2})  # from here on, others wait until it is committed

            begun, loop = asyncio.Event(), asyncio.get_running_loop()
            driver = (await theirs.get_raw_connection()).driver_connection
            await driver.set_trace_callback(lambda _: loop.call_soon_threadsafe(begun.set))
            waiting = asyncio.create_task(theirs.execute(INSERT, {"place": 3}))
            await begun.wait()
            left_behind.clear()
            gc.collect()

            await ours.commit()
            await waiting  # it would be "database is locked", had the loop waited for it before it could commit
            await theirs.commit()
            await driver.set_trace_callback(None)
            return (await ours.execute(text("SELECT place FROM places"))).scalars().all()

    assert asyncio.run(story()) == [1, 2, 3]


def test_a_failed_statement_is_told_as_ever_and_the_connection_goes_on(tmp_path):
    async def story():
        async with _two_connections(tmp_path / "places.db") as (_, theirs):
            (refusal,) = await _refusal(theirs, INSERT, {"place": 1})
            assert "UNIQUE constraint failed: places.place" in str(refusal)
            await theirs.execute(INSERT, {"place": 2})
            return (await theirs.execute(text("SELECT place FROM places"))).scalars().all()

    assert asyncio.run(story()) == [1, 2]
