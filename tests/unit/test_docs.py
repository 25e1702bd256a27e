import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from refit.cli import app
from refit.commands.decisions import DIFFERENT
from refit.errors import ContractError, DataError, OutageError, ReleaseError
from refit.settings import Settings
from refit.usecase.model import Feature, UseCase
from refit.usecase.parsing import _PLAIN, _WITH_ARGUMENT
from refit.usecase.policy import Drift, Gate, Maturity, Retrain, Score, Search, Split

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
USE_CASES = (ROOT / "docs/add-a-use-case.md").read_text(encoding="utf-8")
COMMANDS = sorted(typer.main.get_group(app).commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_every_command(command):
    assert f"`refit {command}" in README


def test_the_readme_shows_no_command_that_is_not_there():
    blocks = "\n".join(re.findall(r"```\n(.*?)```", README, re.DOTALL))
    assert set(re.findall(r"^refit ([a-z]+)\b", blocks, re.MULTILINE)) <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_readme_names_every_setting(name):
    assert f"`REFIT_{name.upper()}`" in README


@pytest.mark.parametrize(
    "error", [ContractError, DataError, ReleaseError, OutageError], ids=lambda error: error.__name__
)
def test_the_readme_gives_the_exit_code_of_every_kind_of_failure(error):
    assert re.search(rf"^\| {error.exit_code} \|", README, re.MULTILINE)


def test_the_readme_gives_the_exit_code_of_a_decision_that_comes_out_different():
    assert re.search(rf"^\| {DIFFERENT} \| of `refit decision`", README, re.MULTILINE)


@pytest.mark.parametrize("key", sorted(UseCase.model_fields))
def test_the_page_on_use_cases_names_every_key(key):
    assert re.search(rf"\b{key}\b", USE_CASES)


@pytest.mark.parametrize(
    "key", sorted({*Gate.model_fields, *Search.model_fields, *Maturity.model_fields, *Score.model_fields})
)
def test_the_page_on_use_cases_names_every_key_of_the_larger_parts(key):
    assert f"`{key}`" in USE_CASES


@pytest.mark.parametrize("rule", [*_PLAIN, *_WITH_ARGUMENT])
def test_the_page_on_use_cases_names_every_parse_rule(rule):
    assert re.search(rf"`{rule}[`:]", USE_CASES)


PARTS = [Drift, Feature, Gate, Maturity, Retrain, Score, Search, Split]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_part_of_a_use_case_refuses_an_unknown_key(part):
    assert part.model_config["extra"] == "forbid"
