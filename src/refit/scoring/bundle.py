"""A trained model with all it needs to predict, as a folder of files that prove themselves unaltered."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from refit.errors import ContractError, DataError
from refit.scoring.calibration import AnyCalibrator, calibrator_from_json
from refit.scoring.encoder import Cell, Column, Encoder
from refit.scoring.model import Model, read_model
from refit.usecase.model import UseCase

MANIFEST: Final = "manifest.json"
HEAD: Final = "bundle.json"
USECASE: Final = "usecase.json"
MODEL: Final = "model."
"""How the one file that holds the model begins; its ending says what reads it."""
HASH_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class GoldenRecord:
    """Inputs as a client sends them, and the probability (or one a class) every copy of the model must answer."""

    inputs: dict[str, Cell]
    probability: float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model that can be served: what it reads, what it answers, what it was made from."""

    usecase: UseCase
    version: str
    as_of: datetime
    learner: str
    model: Model
    encoder: Encoder
    calibrator: AnyCalibrator
    threshold: float
    profile: dict[str, Any]
    card: dict[str, Any]
    golden: tuple[GoldenRecord, ...] = ()

    @property
    def window_end(self) -> datetime:
        """The event time of the newest record the bundle was made or tested on."""
        return datetime.fromisoformat(self.card["window"]["end"])

    def predict(self, records: Sequence[Mapping[str, Cell]]) -> NDArray[np.float64]:
        """Return the (n_records,) calibrated P(bad) of typed inputs; of several classes (n_records, n_classes).

        Raises:
            DataError: A field holds the wrong type.
        """
        return self._calibrated(self.encoder.encode_records(records))

    def predict_columns(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """Return for a frame's columns what `predict` returns for the same records.

        Raises:
            DataError: A feature's column is absent.
        """
        return self._calibrated(self.encoder.encode(columns))

    def decision(self, probability: float) -> str:
        """Return `decline` from the threshold up, else `approve`."""
        return "decline" if probability >= self.threshold else "approve"

    def choice(self, row: NDArray[np.float64]) -> str:
        """Return the class of the highest probability; of equals the one the use case names first.

        Args:
            row: (n_classes,) one record's probabilities.

        Raises:
            ContractError: The use case has no classes.
        """
        if self.usecase.classes is None:
            raise ContractError(f"{self.usecase.name}: a binary use case has no classes; ask for the decision")
        return self.usecase.classes[int(np.argmax(row))]

    def _calibrated(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.calibrator.apply(self.model.probability(matrix))


def named(bundle: Bundle) -> Bundle:
    """Return the bundle under its version: use case, as-of day, and a hash of all its content."""
    return dataclasses.replace(bundle, version=_version(bundle.usecase.name, _head(bundle), to_files(bundle)))


def _version(usecase: str, head: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted({**files, HEAD: _json({**head, "version": ""})}.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    day = datetime.fromisoformat(head["as_of"])
    return f"{usecase}-{day:%Y%m%d}-{digest.hexdigest()[:HASH_LENGTH]}"


def _head(bundle: Bundle) -> dict[str, Any]:
    return {
        "version": bundle.version,
        "as_of": bundle.as_of.isoformat(),
        "learner": bundle.learner,
        "threshold": bundle.threshold,
    }


def to_files(bundle: Bundle) -> dict[str, bytes]:
    """Return the bundle's files by name, without the manifest; equal bundles give equal bytes."""
    golden = [{"inputs": record.inputs, "probability": record.probability} for record in bundle.golden]
    content = {
        "encoder": bundle.encoder.to_json(),
        "calibrator": bundle.calibrator.to_json(),
        "profile": bundle.profile,
        "card": bundle.card,
        "golden": golden,
    }
    return {f"{name}.json": _json(part) for name, part in content.items()} | {
        HEAD: _json(_head(bundle)),
        USECASE: bundle.usecase.model_dump_json(by_alias=True, indent=1).encode(),  # the order of features is kept
        bundle.model.file: bundle.model.to_bytes(),
    }


def from_files(files: Mapping[str, bytes]) -> Bundle:
    """Return the bundle that `to_files` wrote.

    Raises:
        DataError: A file is absent, cannot be read, or the version does not belong to this content.
    """
    model_file = next((name for name in sorted(files) if name.startswith(MODEL)), None)
    if model_file is None:
        raise DataError(f"no model file; a bundle holds one whose name begins with {MODEL!r}")
    head, usecase, encoder, calibrator, profile, card, golden = (
        _read_json(files, name)
        for name in (HEAD, USECASE, "encoder.json", "calibrator.json", "profile.json", "card.json", "golden.json")
    )
    try:
        # Before the model is opened: its reader is not made for files that were tampered with.
        if (expected := _version(usecase["name"], head, files)) != head["version"]:
            raise DataError(f"{HEAD} says version {head['version']}, its content is {expected}")
        return Bundle(
            usecase=UseCase.model_validate(usecase),
            version=head["version"],
            as_of=datetime.fromisoformat(head["as_of"]),
            learner=head["learner"],
            model=read_model(model_file, files[model_file]),
            encoder=Encoder.from_json(encoder),
            calibrator=calibrator_from_json(calibrator),
            threshold=float(head["threshold"]),
            profile=profile,
            card=card,
            golden=tuple(GoldenRecord(record["inputs"], _answer(record["probability"])) for record in golden),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the bundle was written by another version of refit: {error}") from None


def _answer(probability: Any) -> float | tuple[float, ...]:
    return tuple(map(float, probability)) if isinstance(probability, list) else float(probability)


def save(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's files and their manifest into `folder`, which is made if absent.

    Raises:
        DataError: The folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"{folder}: not empty; a bundle is written once")
    files = to_files(bundle)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST).write_bytes(_json({name: _sha256(content) for name, content in files.items()}))


def load(folder: Path) -> Bundle:
    """Read a bundle and check every file against its manifest.

    Raises:
        DataError: A file is absent, altered, or too many; names it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise DataError(f"{folder}: no {MANIFEST}, so no bundle") from None
    except ValueError:
        raise DataError(f"{folder / MANIFEST}: altered since it was written") from None
    files = {}
    for name, expected in manifest.items():
        try:
            files[name] = (folder / Path(name).name).read_bytes()
        except FileNotFoundError:
            raise DataError(f"{folder / name}: absent") from None
        if _sha256(files[name]) != expected:
            raise DataError(f"{folder / name}: altered since it was written")
    return from_files(files)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _read_json(files: Mapping[str, bytes], name: str) -> Any:
    if name not in files:
        raise DataError(f"the bundle holds no {name}")
    try:
        return json.loads(files[name])
    except ValueError:
        raise DataError(f"{name}: not JSON") from None
