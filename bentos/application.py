"""From a bundle's folder to what answers HTTP."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Final

from bentos.desk import Desk
from bentos.door import Door
from bentos.spool import Spool
from refit.scoring.bundle import load
from refit.scoring.model import XGBOOST_FILE

FOLDER_VARIABLE: Final = "REFIT_BUNDLE"
SPOOL_VARIABLE: Final = "REFIT_SPOOL"
SPOOL_MB_VARIABLE: Final = "REFIT_SPOOL_MB"
SPOOL_MB: Final = 256
MEGABYTE: Final = 1 << 20


def application() -> Desk:
    """Return what answers for the bundle this Bento carries, on the terms the environment names."""
    folder = Path(os.environ.get(FOLDER_VARIABLE) or Path(__file__).parent.parent / "bundle")
    _hide("pandas", "pyarrow", *(["sklearn"] if (folder / XGBOOST_FILE).exists() else []))
    return Desk(load(folder), Door.of(os.environ), _spool(os.environ))


def _spool(environment: Mapping[str, str]) -> Spool | None:
    """Return the decision log, where a folder for it is named."""
    folder = environment.get(SPOOL_VARIABLE)
    if not folder:
        return None
    return Spool(Path(folder), int(float(environment.get(SPOOL_MB_VARIABLE) or SPOOL_MB) * MEGABYTE))


def _hide(*names: str) -> None:
    """Make modules that were not imported yet look in this process as if they were not installed.

    xgboost and scikit-learn take along what they find, scikit-learn with the first request only: more than 100 MB that
    serving never uses. In an image made of the Bento they are not installed at all.
    """
    sys.meta_path.insert(0, _Hidden(frozenset(names)))


@dataclass(frozen=True, slots=True)
class _Hidden(MetaPathFinder):
    """Finds nothing under these names. A None in `sys.modules` would do for import, but scikit-learn looks there."""

    names: frozenset[str]

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> None:
        """Refuse a hidden module, and leave every other one to the finders after this.

        Raises:
            ModuleNotFoundError: It is hidden.
        """
        if fullname in self.names:
            raise ModuleNotFoundError(f"{fullname} is not used in serving", name=fullname)
