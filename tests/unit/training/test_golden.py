import numpy as np

from refit.gate.serving import agreement
from refit.scoring import request
from refit.training.golden import COUNT
from refit.training.train import train
from tests.unit.training.book import AS_OF, MADE_WITH, book, usecase


def with_jobs_up_to(most):
    features = usecase().model_dump(mode="json", by_alias=True, exclude_unset=True)["features"]
    return usecase(features=features | {"jobs": {"type": "number", "unknown": "-1", "max": most}})


def test_no_golden_record_breaks_a_range_that_was_declared_after_it_was_taken_in():
    frame = book(2000)
    frame.loc[np.arange(0, 2000, 3), "jobs"] = 999.0
    case = with_jobs_up_to(110)
    golden = train(frame, case, AS_OF, **MADE_WITH).bundle.golden
    assert len(golden) == COUNT
    assert [problem for one in golden for problem in request.check(dict(one.inputs), case)[1]] == []


def test_where_every_record_breaks_it_the_gate_says_so():
    frame = book(2000)
    frame["jobs"] = 999.0 + np.arange(2000) % 7
    trained = train(frame, with_jobs_up_to(110), AS_OF, **MADE_WITH)
    check = agreement(trained.bundle, trained.test)
    assert check.outcome == "fail"
    assert "see the ranges and choices" in check.why
