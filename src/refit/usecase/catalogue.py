"""Where use cases are found: those that come with `refit`, and the files of a folder of yours."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError

from refit.errors import ContractError
from refit.usecase import model
from refit.usecase.model import UseCase

BUILT_IN = Path(__file__).parent
SUFFIX: Final = ".yaml"
_LABEL_FORMS: Final = ("OutcomeDate", "OutcomeClass", "OutcomeRule", "Multiclass")
_SCALARS: Final = (bool, int, float, date)
"""What YAML makes of a text without quotes."""


def read(path: Path) -> UseCase:
    """Read one use-case file.

    Raises:
        ContractError: It cannot be read, is no YAML, or breaks the model; names file, key and the valid choices.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _OnceOnly)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise ContractError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not YAML: {error}") from None
    except RecursionError:
        raise ContractError(f"{path}: nests too deep for a use case") from None
    if not isinstance(content, Mapping):
        raise ContractError(f"{path}: a use case is a mapping of keys; see docs/add-a-use-case.md")
    try:
        return UseCase.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        told = [f"{path}: {_explained(problem)}" for problem in problems if not _follows(problem, problems)]
        raise ContractError("\n".join(told)) from None
    except ValueError as error:
        raise ContractError(f"{path}: {error}") from None


def names(folder: Path | None = None) -> list[str]:
    """Return the names of all use cases, those in `folder` included, sorted."""
    return sorted(_files(folder))


def find(name: str, folder: Path | None = None) -> UseCase:
    """Return the use case called `name`; a file in `folder` goes before a built-in one.

    Raises:
        ContractError: There is none, or its file is wrong.
    """
    files = _files(folder)
    if name not in files:
        raise ContractError(f"unknown use case {name!r}; choose from {', '.join(sorted(files))}")
    return read_named(files[name])


def read_named(path: Path) -> UseCase:
    """Read one use-case file that is found by its name.

    Raises:
        ContractError: As for `read`, or the file is not called as the use case is, so that it would not be found.
    """
    usecase = read(path)
    if path.suffix != SUFFIX:
        raise ContractError(f"{path}: only files that end in {SUFFIX} are found; call it {usecase.name}{SUFFIX}")
    if usecase.name != path.stem:
        raise ContractError(f"{path}: name is {usecase.name!r}; it must be the file's own, {path.stem!r}")
    return usecase


def _files(folder: Path | None) -> dict[str, Path]:
    folders = [BUILT_IN, *([folder] if folder is not None else [])]
    return {path.stem: path for one in folders for path in sorted(one.glob(f"*{SUFFIX}"))}


class _OnceOnly(yaml.SafeLoader):
    """Reads plain YAML, and refuses a key that stands twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make one mapping of the file."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def _follows(problem: Mapping[str, Any], problems: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a list is called too short only because what stands in it was refused."""
    place = problem["loc"]
    within = (other["loc"] for other in problems if other["loc"][: len(place)] == place)
    return problem["type"] == "too_short" and any(other != place for other in within)


def _explained(problem: Mapping[str, Any]) -> str:
    """Turn one pydantic error into `key: what is wrong`, with the valid choices where there are any."""
    place = problem["loc"]
    if place[-1:] == ("[key]",) and problem["type"] == "string_type":
        return f"{'.'.join(map(str, place[:-2]))}: the name {problem['input']} is no text to YAML; put it in quotes"
    key = ".".join(str(part) for part in place if place[0] != "label" or part not in _LABEL_FORMS)
    return f"{key}: {_said(problem, place)}".removeprefix(": ")


def _said(problem: Mapping[str, Any], place: tuple[str | int, ...]) -> str:  # noqa: PLR0911 - one a kind of fault
    given = problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            return f"unknown key; choose from {', '.join(_keys(place[:-1]))}"
        case "missing":
            return "missing"
        case "string_type":
            return "must be a text" + ("; put it in quotes" if isinstance(given, _SCALARS) else "")
        case "tuple_type":
            return f"must be a list, like [{given if isinstance(given, str) else 'a, b'}]"
        case "dict_type":
            return "must be a mapping of keys"
        case "model_type":
            return f"must be a mapping of keys; choose from {', '.join(_keys(place))}"
    return str(problem["msg"]).replace("Value error, ", "", 1)


def _keys(place: tuple[str | int, ...]) -> list[str]:
    """Return the keys that may stand at a place of the file."""
    part: type[BaseModel] = UseCase
    for step in place:
        known = {field.alias or name: field for name, field in part.model_fields.items()}
        form = getattr(model, step) if step in _LABEL_FORMS and place[0] == "label" else None
        named = known[str(step)].annotation if str(step) in known else form
        part = next((one for one in (named, *get_args(named)) if _is_part(one)), part)
    return sorted(field.alias or name for name, field in part.model_fields.items())


def _is_part(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
