"""To which release a rollback goes, by whether the Bentos of those before are on this machine."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from refit.errors import ReleaseError
from refit.loop.release import rollback
from refit.release.bento import bento_path
from refit.settings import Settings
from refit.store.releases import to_go_back_to
from refit.store.rows import ReleaseRow

DAY = datetime(2003, 6, 30, tzinfo=UTC)
TOY = SimpleNamespace(name="toy")


class Ledger:
    """v1, v2 and v3, the last one live."""

    def __init__(self) -> None:
        self.rows: list[ReleaseRow] = []
        for number in (1, 2, 3):
            self.record_release(
                ReleaseRow(
                    usecase="toy", version=f"v{number}", bento_tag=f"refit_toy:v{number}", kind="release", reason="",
                    as_of=DAY,
                )
            )  # fmt: skip

    def release_lock(self, _usecase: str):
        return nullcontext()

    def record_release(self, row: ReleaseRow) -> ReleaseRow:
        self.rows.append(replace(row, id=len(self.rows) + 1))
        return self.rows[-1]

    def live(self, _usecase: str) -> ReleaseRow:
        refused = {row.refuses for row in self.rows}
        return next(row for row in reversed(self.rows) if row.kind != "refused" and row.id not in refused)

    def earlier(self, _usecase: str) -> list[ReleaseRow]:
        return to_go_back_to(self.rows)


def world(home: Path, *there: str) -> SimpleNamespace:
    settings = Settings(home=home)
    for version in there:
        bento_path(f"refit_toy:{version}", settings.bentoml).mkdir(parents=True)
    return SimpleNamespace(settings=settings, ledger=Ledger())


@pytest.mark.parametrize(
    ("there", "back", "reason"),
    [
        (("v1", "v2", "v3"), "v2", "asked for by hand"),
        (("v1", "v3"), "v1", "asked for by hand; the Bento of v2 is gone"),
        (("v1", "v2"), "v2", "asked for by hand"),
    ],
    ids=["all are there", "the one before is gone", "what is live is gone"],
)
def test_a_rollback_goes_to_the_nearest_release_of_which_the_bento_is_left(tmp_path, there, back, reason):
    here = world(tmp_path, *there)
    assert rollback(here, TOY, DAY).version == back
    assert (here.ledger.rows[-1].kind, here.ledger.rows[-1].reason) == ("rollback", reason)


def test_where_no_bento_of_those_before_is_left_nothing_is_written_and_it_says_so(tmp_path):
    here = world(tmp_path, "v3")
    with pytest.raises(ReleaseError, match=r"the Bento of v2, v1 is gone from .*: restore it from a backup"):
        rollback(here, TOY, DAY)
    assert len(here.ledger.rows) == 3


def test_beside_a_service_of_images_no_bento_is_missed_but_the_log_says_that_none_is_here(tmp_path):
    here = world(tmp_path)
    with capture_logs() as said:
        assert rollback(here, TOY, DAY).version == "v2"
        assert rollback(here, TOY, DAY).version == "v1"
    assert [line["version"] for line in said if line["event"] == "release.bento_not_here"] == ["v2", "v1"]
    with pytest.raises(ReleaseError, match="no earlier release"):
        rollback(here, TOY, DAY)


def test_after_a_rollback_that_the_service_refused_the_next_one_goes_further_back(tmp_path):
    here = world(tmp_path, "v1", "v2", "v3")
    back = rollback(here, TOY, DAY)
    here.ledger.record_release(
        ReleaseRow(
            usecase="toy", version="v2", bento_tag="refit_toy:v2", kind="refused", reason="wrong", as_of=DAY,
            refuses=back.release_id,
        )
    )  # fmt: skip
    assert here.ledger.live("toy").version == "v3"
    assert rollback(here, TOY, DAY).version == "v1"
