import json

import numpy as np
import pandas as pd
import pytest

from refit.scoring.metrics import at_threshold, roc_auc
from refit.training import groups as told_apart
from refit.training.groups import MISSING, REST, SCREEN, impact, lowest_impacts, segments
from tests.unit.training.book import book, usecase
from tests.unit.training.made import made_card


def test_a_card_is_plain_json_without_nan_and_the_same_every_time():
    text = json.dumps(made_card(), allow_nan=False)
    assert text == json.dumps(made_card(), allow_nan=False)
    assert len(text) < 60_000


def test_a_card_keeps_what_it_always_told():
    told = made_card()
    for key in ("usecase", "window", "n_records", "bad_rate", "parts", "params", "calibration", "threshold", "decide",
                "metrics", "candidates", "importance", "notes", "snapshot", "code_version", "as_of"):  # fmt: skip
        assert key in told
    assert told["params"] == {"max_depth": 3, "eta": 0.1, "lost": None}
    assert told["candidates"][1]["value"] is None
    assert told["search"]["trials"] == 16
    assert told["libraries"]["numpy"] == np.__version__


def test_precision_recall_and_approval_rate_stand_at_the_threshold():
    told = made_card()
    point = told["curves"]["trade_off"]["threshold"].index(told["threshold"])
    for name in ("precision", "recall", "approval_rate"):
        assert told["at_threshold"][name] == pytest.approx(told["metrics"][name]["value"])
        assert told["curves"]["trade_off"][name][point] == pytest.approx(told["at_threshold"][name], abs=1e-6)
    assert "cost" in told["curves"]["trade_off"]


def test_segments_are_counted_on_the_test_records_alone():
    told = made_card()
    by_state = [row for row in told["segments"] if row["column"] == "state"]
    assert {row["value"] for row in by_state} == {"TX", "CA", "NY"}
    assert sum(row["n"] for row in by_state) == told["parts"]["test"]["n"]
    assert sum(row["bad"] for row in by_state) == told["parts"]["test"]["bad"]
    assert any(row["value"] == MISSING for row in told["segments"] if row["column"] == "sector")


def test_a_segment_tells_the_figures_of_its_own_records():
    frame = pd.DataFrame({"state": ["A"] * 40 + ["B"] * 60, "_label": [1.0, 0.0] * 50})
    probability = np.linspace(0.1, 0.9, 100)
    case = usecase(gate={"segments": ["state"]})
    rows = {row["value"]: row for row in segments(frame, probability, case)}
    assert rows["A"]["n"] == 40
    assert rows["A"]["bad_rate"] == 0.5
    assert rows["A"]["mean_probability"] == pytest.approx(probability[:40].mean())
    assert rows["A"]["roc_auc"] == pytest.approx(roc_auc(frame["_label"].to_numpy()[:40], probability[:40]))


def test_impact_ratios_are_against_the_group_approved_most_often():
    groups = ["F"] * 100 + ["M"] * 100 + ["rare"] * 5
    frame = pd.DataFrame({"gender": groups})
    approved = np.array([True] * 40 + [False] * 60 + [True] * 80 + [False] * 20 + [True] * 5)
    (found,) = impact(frame, approved, usecase(protected=["gender"]))
    rates = {row["group"]: (row["n"], row["approval_rate"], row["ratio"]) for row in found["groups"]}
    assert rates == {"F": (100, 0.4, 0.5), "M": (100, 0.8, 1.0)}
    assert found["lowest_ratio"] == 0.5
    assert found["words"] == SCREEN


def test_a_group_of_few_records_is_not_shown_by_name():
    names = ["A"] * 50 + [f"person {i % 10}" for i in range(30)]
    frame = pd.DataFrame({"gender": names})
    (found,) = impact(frame, np.ones(80, dtype=bool), usecase(protected=["gender"]))
    assert [row["group"] for row in found["groups"]] == ["A", REST]


def test_no_one_approved_is_no_division_by_zero():
    frame = pd.DataFrame({"gender": ["A"] * 50 + ["B"] * 50})
    (found,) = impact(frame, np.zeros(100, dtype=bool), usecase(protected=["gender"]))
    assert [row["ratio"] for row in found["groups"]] == [None, None]
    assert found["lowest_ratio"] is None


def test_the_lowest_ratio_of_every_threshold_is_that_of_its_impact_and_each_column_is_divided_once(monkeypatch):
    random = np.random.default_rng(4)
    gender = random.choice(["F", "M", "X", None], 900, p=[0.4, 0.4, 0.1, 0.1])
    frame = pd.DataFrame({"gender": gender, "age": random.choice(["young", "old"], 900), "id": map(str, range(900))})
    case = usecase(protected=["gender", "age", "id", "absent"])
    probability, cuts = np.round(random.random(900), 2), [0.0, 0.005, 0.01, 0.25, 0.5, 0.99, 1.5]
    each = [[column["lowest_ratio"] for column in impact(frame, probability < cut, case)] for cut in cuts]
    divided = []
    found_groups = told_apart._groups
    monkeypatch.setattr(told_apart, "_groups", lambda column: divided.append(column.name) or found_groups(column))
    found = lowest_impacts(frame, probability, cuts, case)
    assert found == [min((ratio for ratio in ratios if ratio is not None), default=None) for ratios in each]
    assert found[0] is None
    assert found[3] < found[-1] == 1.0
    assert divided == ["gender", "age", "id"]


def several():
    frame = book(3000)
    frame["_ripe"] = True
    random = np.random.default_rng(6)
    frame["_label"] = random.integers(0, 3, 3000).astype(float)
    return frame


def test_a_card_of_several_classes_tells_each_against_the_rest():
    frame = several()
    probability = np.random.default_rng(7).dirichlet([1, 1, 1], 750)
    told = made_card(
        frame=frame,
        probability=probability,
        task="multiclass",
        label={"name": "kind", "column": "kind", "classes": ["a", "b", "c"]},
        objective={"metric": "log_loss"},
        gate={},
    )
    json.dumps(told, allow_nan=False)
    label = frame.sort_values("_event_time", kind="stable")["_label"].to_numpy()[-750:]
    assert [row["class"] for row in told["classes"]] == ["a", "b", "c"]
    for index, row in enumerate(told["classes"]):
        assert row["roc_auc"]["value"] == pytest.approx(roc_auc((label == index) * 1.0, probability[:, index]))
        assert row["calibration"]
    counts = np.array(told["confusion"]["counts"])
    assert counts.sum() == 750
    assert np.trace(counts) / 750 == pytest.approx(told["metrics"]["accuracy"]["value"])
    assert {"roc_auc", "log_loss", "accuracy", "brier"} <= told["metrics"].keys()
    assert told["parts"]["test"]["by_class"] == {name: int((label == i).sum()) for i, name in enumerate("abc")}
    assert told["bad_rate"] is None


def test_the_threshold_of_a_card_is_that_of_the_metrics():
    told = made_card()
    assert told["at_threshold"]["f1"] == pytest.approx(
        2 / (1 / told["at_threshold"]["precision"] + 1 / told["at_threshold"]["recall"])
    )
    assert at_threshold(np.array([1.0]), np.array([0.3]), told["threshold"]).recall == 1
