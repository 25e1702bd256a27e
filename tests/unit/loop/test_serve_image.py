import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refit.cli import app
from refit.commands import serving
from refit.errors import ContractError, ReleaseError
from refit.loop.serve_image import image_of_live
from refit.loop.wiring import Desk
from refit.release.bento import BUNDLE, bento_path
from refit.settings import Settings
from refit.store.rows import ReleaseRow

LIVE = ReleaseRow(
    id=7,
    usecase="sba",
    version="v1",
    bento_tag="refit_sba:v1",
    kind="release",
    reason="promoted",
    as_of=datetime(2003, 6, 30, tzinfo=UTC),
)


@dataclass
class Ledger:
    """A ledger that knows one thing."""

    row: ReleaseRow | None

    def live(self, _: str) -> ReleaseRow | None:
        return self.row


def desk(home: Path, row: ReleaseRow | None = LIVE) -> Desk:
    return Desk(Settings(home=home), Ledger(row))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bundle = bento_path(LIVE.bento_tag, Settings(home=tmp_path).bentoml) / BUNDLE
    bundle.mkdir(parents=True)
    (bundle / "bundle.json").write_text(json.dumps({"version": LIVE.version}))
    (bundle / "usecase.json").write_text(json.dumps({"name": LIVE.usecase}))
    return tmp_path


def test_the_image_holds_what_is_live(home: Path) -> None:
    image = image_of_live(desk(home), "sba", home / "image", base="refit-service:local")
    assert (image.usecase, image.version) == ("sba", "v1")
    assert (home / "image" / "bento" / BUNDLE / "bundle.json").exists()


def test_where_nothing_is_live_there_is_nothing_to_make_an_image_of(home: Path) -> None:
    with pytest.raises(ReleaseError, match="refit nightly sba"):
        image_of_live(desk(home, None), "sba", home / "image", base="refit-service:local")


def test_a_bento_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no Bento of refit"):
        image_of_live(desk(tmp_path), "sba", tmp_path / "image", base="refit-service:local")


@pytest.fixture
def opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the commands find the ledger above."""

    class Opened:
        def __enter__(self) -> Desk:
            return desk(home)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(serving, "open_ledger", Opened)
    return home


def test_the_command_writes_the_folder_and_says_how_to_build_it(opened: Path) -> None:
    done = CliRunner().invoke(app, ["release", "sba", "--image", str(opened / "image"), "--service-image", "base:1"])
    assert done.exit_code == 0, done.output
    assert f"docker build --tag refit-sba:v1 {opened / 'image'}" in done.output
    assert "ARG SERVICE_IMAGE=base:1" in (opened / "image" / "Dockerfile").read_text()


def test_the_command_prints_one_object(opened: Path) -> None:
    done = CliRunner().invoke(app, ["release", "sba", "--image", str(opened / "image"), "--json"])
    assert json.loads(done.stdout) == {
        "folder": str(opened / "image"),
        "usecase": "sba",
        "version": "v1",
        "tag": "refit-sba:v1",
    }


@pytest.mark.parametrize(
    "arguments",
    [["--version", "v1"], ["--by", "A", "--reason", "B"], ["--as-of", "2003-06-30"]],
    ids=lambda arguments: arguments[0],
)
def test_what_is_put_live_and_what_becomes_an_image_are_two_things(opened: Path, arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["release", "sba", "--image", str(opened / "image"), *arguments])
    assert isinstance(done.exception, ContractError)
    assert not (opened / "image").exists()
