from datetime import UTC, datetime

import numpy as np

from refit.monitoring.evidence import Decision, Reason
from refit.monitoring.page import section
from refit.monitoring.profile import profile
from refit.monitoring.psi import drift

EVIL = "<script>alert('x')</script>"


def shown(usecase, frame, reference=None, **changes):
    found = drift(profile(frame if reference is None else reference, usecase), frame, usecase)
    given = {"decision": None, "as_of": datetime(2024, 6, 30, tzinfo=UTC), "windows": (), "notes": (), "not_drawn": {}}
    return section(usecase, found, **(given | changes))


def test_the_page_names_the_use_case_the_day_and_every_column(usecase, make_loans):
    found = shown(usecase, make_loans(500))

    assert "Drift of Loans" in found
    assert "as of 2024-06-30" in found
    for name in ("amount", "share", "region", "purpose", "price", "sex"):
        assert f"<td>{name}</td>" in found
    assert "Not checked" not in found


def test_the_page_shows_the_decision_with_its_reasons(usecase, make_loans):
    reason = Reason("feature_drift", "amount moved.", "amount", 0.4321, "< 0.25")

    found = shown(usecase, make_loans(500), decision=Decision("retrain", (reason,)))

    assert 'Decision: <span class="retrain">retrain</span>' in found
    assert "<td>amount moved.</td><td>amount</td><td class=n>0.4321</td><td>&lt; 0.25</td>" in found


def test_columns_that_were_not_checked_stand_in_a_table_with_the_reason(usecase, make_loans):
    frame = make_loans(500)
    frame["amount"] = np.nan

    found = shown(usecase, frame, reference=make_loans(500))

    assert "<h2>Not checked</h2>" in found
    assert "<tr><td>amount</td><td>every value is missing now; " in found


def test_nothing_from_the_records_can_become_markup(usecase, make_loans):
    reference, frame = make_loans(500), make_loans(500)
    for side in (reference, frame):
        side["region"] = side["region"].cat.rename_categories({"north": EVIL})
    frame["region"] = frame["region"].where(frame["region"] != EVIL, "south")  # so that the evil value moved most
    reason = Reason("feature_drift", EVIL, EVIL, 1.0, EVIL)

    found = shown(
        usecase.model_copy(update={"title": EVIL}),
        frame,
        reference=reference,
        decision=Decision("none", (reason,)),
        windows=(EVIL,),
        notes=(EVIL,),
        not_drawn={EVIL: EVIL},
    )

    assert "most of it from &quot;&lt;script&gt;" in found
    assert "<script" not in found
