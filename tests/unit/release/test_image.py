import json
from pathlib import Path

import pytest

from refit.errors import ContractError, ReleaseError
from refit.release.bento import BUNDLE
from refit.release.image import packed, write_image

BASE = "registry.example/refit-service@sha256:0123"


@pytest.fixture
def bento(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "bento"
    (folder / BUNDLE).mkdir(parents=True)
    (folder / BUNDLE / "bundle.json").write_text(json.dumps({"version": "sba-20030630-abc"}))
    (folder / BUNDLE / "usecase.json").write_text(json.dumps({"name": "sba"}))
    (folder / "bento.yaml").write_text("service: it\n")
    (folder / "bento.yaml").chmod(0o600)
    (folder / "__pycache__").mkdir()
    return folder


def test_the_folder_holds_the_bento_and_a_dockerfile_that_checks_it(bento: Path, tmp_path: Path) -> None:
    image = write_image(bento, tmp_path / "image", base=BASE)
    text = (image.folder / "Dockerfile").read_text()
    assert f"ARG SERVICE_IMAGE={BASE}\nFROM ${{SERVICE_IMAGE}}" in text
    assert 'CMD ["sba", "--bento", "/opt/release/bento", "--host", "0.0.0.0"]' in text
    assert text.index("COPY bento /opt/release/bento") < text.index('"check-bento"')
    assert packed(image.folder / "bento") == packed(bento)
    assert not (image.folder / "bento" / "__pycache__").exists()
    assert (image.tag, image.version) == ("refit-sba:sba-20030630-abc", "sba-20030630-abc")


def test_whoever_runs_the_container_may_read_it(bento: Path, tmp_path: Path) -> None:
    image = write_image(bento, tmp_path / "image", base=BASE)
    assert (image.folder / "bento" / "bento.yaml").stat().st_mode & 0o777 == 0o644
    assert (image.folder / "bento").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_there_is_never_written_over(bento: Path, tmp_path: Path) -> None:
    write_image(bento, tmp_path / "image", base=BASE)
    with pytest.raises(ContractError, match="never written over"):
        write_image(bento, tmp_path / "image", base=BASE)


@pytest.mark.parametrize("base", ["", "a b", "x\nRUN rm -rf /", "-flag"])
def test_what_is_no_image_is_refused(bento: Path, tmp_path: Path, base: str) -> None:
    with pytest.raises(ContractError, match="no name of an image"):
        write_image(bento, tmp_path / "image", base=base)


def test_what_is_no_bento_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no Bento of refit"):
        write_image(tmp_path, tmp_path / "image", base=BASE)
    assert list(tmp_path.iterdir()) == []
