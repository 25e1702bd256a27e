"""A Bento on its own, as an image of one release starts it."""

import json
import shutil
from pathlib import Path

import pytest

from refit.errors import ContractError, ReleaseError
from refit.loop.serve_image import check_bento, serve_image
from refit.release.bento import BUNDLE
from refit.release.image import write_image
from refit.settings import Settings


def test_what_an_image_holds_answers_as_it_was_trained(bentos, tmp_path: Path) -> None:
    built = bentos[0]
    image = write_image(built.path, tmp_path / "image", base="refit-service:local")
    assert check_bento(Settings(), image.folder / "bento") == built.bundle.version


def test_a_bento_that_answers_otherwise_becomes_no_image(bentos, tmp_path: Path) -> None:
    changed = tmp_path / "bento"
    shutil.copytree(bentos[0].path, changed)
    head = changed / BUNDLE / "golden.json"
    golden = json.loads(head.read_text())
    golden[0]["probability"] = 0.123
    head.write_text(json.dumps(golden))
    with pytest.raises(ReleaseError, match=r"refit_toy:"):
        check_bento(Settings(), changed)


def test_it_serves_no_other_use_case_and_needs_somewhere_to_write_its_decisions(bentos) -> None:
    settings = Settings(database_url="postgresql://a:b@127.0.0.1:1/c")
    with pytest.raises(ContractError, match="serves toy, not sba"):
        serve_image(settings, bentos[0].path, "sba", host="127.0.0.1", port=1, echo=str)
    with pytest.raises(ContractError, match="REFIT_DATABASE_URL"):
        serve_image(Settings(database_url=None), bentos[0].path, "toy", host="127.0.0.1", port=1, echo=str)
