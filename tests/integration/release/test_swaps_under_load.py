"""The benchmark of swaps with fewer of them: what it shows must hold each time the tests run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "swaps.py"


@pytest.mark.timeout(600)
def test_releases_refusals_and_rollbacks_under_load_fail_no_request_and_lose_no_decision():
    changes = ["--releases", "2", "--refused", "3", "--rollbacks", "1", "--bundles", "2"]
    command = [sys.executable, str(SCRIPT), *changes, "--quiet", "3", "--rate", "10"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=570)
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["requests"] > 500
    assert seen["failed"] == 0
    assert seen["versions_not_made_live_by_the_ledger"] == 0
    assert seen["answers_missing_in_the_decision_log"] == 0
    assert seen["in_the_decision_log_and_never_answered"] == 0
    assert seen["one_id_answered_twice"] == 0
    assert (seen["releases"], seen["refused"], seen["rollbacks"]) == (2, 3, 1)
