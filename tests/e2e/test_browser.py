"""What the people on call and the credit analyst see: `refit up` in Debian's chromium, from the first click on.

One product and one browser for the whole file; the tests go on from each other like a working day.
"""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e import visits
from tests.e2e.product import LAST_LINE, Up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not visits.is_there(), reason=visits.HOW_TO_GET_IT),
]

MONTH = timedelta(days=30)
APPLICANT = {
    "income": 38500,
    "amount": 9000,
    "term_months": 36,
    "debt_to_income": 0.31,
    "employment_years": 4.5,
    "credit_score": 671,
    "home_ownership": "rent",
    "purpose": "car",
    "region": "north",
}
PAGES = ("/", "/score/demo?example=1", "/models", "/releases", "/drift?usecase=demo", "/reports", "/nowhere")


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    started = Up(tmp_path_factory.mktemp("browser") / "home")
    started.start()
    started.wait_for(LAST_LINE)
    yield started
    started.end()


@pytest.fixture(scope="module")
def chromium():
    with visits.browser() as started:
        yield started


@pytest.fixture
def said():
    """What the pages complained of: scripts that broke, and what a policy kept from loading."""
    return []


@pytest.fixture
def page(chromium, said):
    found = visits.new_page(chromium)
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    yield found
    found.context.close()


@pytest.fixture(scope="module")
def day():
    """A month from now: by then new applications have come in, and they differ."""
    return (datetime.now(UTC) + MONTH).date()


@pytest.fixture(scope="module")
def night(up, chromium, day):
    """The address of a night's own page: it was started from the UI's form, and ended well."""
    up.run("demo", "--drift", "--as-of", day)
    page = visits.new_page(chromium)
    visits.open_form(page, up.url("PREFECT"), "nightly-demo")
    visits.fill_form(page, day)
    visits.submit_form(page)
    visits.follow(page)
    yield page.url
    page.context.close()


@pytest.fixture(scope="module")
def live(up):
    return httpx.get(f"{up.url('SERVICE')}/model").raise_for_status().json()["version"]


def test_a_night_runs_from_the_uis_own_form_to_completed(up, night, day):
    run = up.prefect(f"/flow_runs/{night.partition('/flow-run/')[2].partition('?')[0]}")
    assert run["state_name"] == "Completed"
    assert run["name"] == f"nightly-demo-{day}"
    assert run["parameters"] == {"usecase": "demo", "as_of": str(day)}


def test_the_summary_says_what_the_night_did(page, night):
    page.goto(night)
    visits.open_artifacts(page)
    visits.artifact(page, "demo-summary").click()
    told = page.locator("main, body").last
    expect(told).to_contain_text("records came in")
    expect(told).to_contain_text("Decided: retrain")
    expect(told).to_contain_text("region PSI")
    expect(page.get_by_role("cell", name="gate")).to_be_visible()


def test_the_run_shows_the_evidently_report_itself(page, night):
    page.goto(night)
    visits.open_artifacts(page)
    visits.artifact(page, "demo-report").click()
    report = visits.report_in_frame(page)
    expect(report.get_by_role("heading", name="Drift of Personal loans")).to_be_visible()
    expect(report.get_by_text("Dataset Drift is detected")).to_be_visible()
    expect(report.get_by_role("cell", name="Detected", exact=True).first).to_be_visible()


def test_one_click_leads_from_the_run_to_the_full_report_in_the_console(page, up, night, day):
    page.goto(night)
    visits.open_artifacts(page)
    visits.artifact(page, "demo-report-link").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the full drift report").click()
    page = opened.value
    page.wait_for_url(re.compile(f"^{up.url('CONSOLE')}/reports/"))
    expect(page.get_by_role("heading", name=f"drift as of {day}")).to_be_visible()
    framed = page.frame_locator("iframe")
    expect(framed.get_by_text("Dataset Drift is detected")).to_be_visible()
    page.get_by_role("link", name="On its own").click()
    page.wait_for_url(re.compile("/html$"))
    expect(page.get_by_text("Dataset Drift is detected")).to_be_visible()


def test_an_applicant_gets_a_decision_with_its_reasons(page, up, live, said):
    page.goto(f"{up.url('CONSOLE')}/score")
    visits.fill_applicant(page, **APPLICANT)
    page.get_by_role("button", name="Score", exact=True).click()
    answer = page.locator("#answer")
    expect(answer.get_by_role("heading", name=re.compile("^(Approve|Decline)$"))).to_be_visible()
    expect(answer.get_by_text("Points", exact=True).first).to_be_visible()
    expect(answer.locator("dd.large")).to_have_count(3)
    assert answer.locator("ol.reasons li").count() >= 1
    assert answer.locator("table.bars svg rect").count() >= 8
    expect(page.locator("#income")).to_have_value("38500")
    assert said == []
    service = httpx.post(f"{up.url('SERVICE')}/predict", json=APPLICANT).raise_for_status().json()
    expect(answer.locator("dd.large").nth(0)).to_have_text(str(round(service["points"])))
    expect(answer.get_by_role("heading").first).to_have_text(service["decision"].capitalize())
    expect(page.get_by_text(live)).to_be_visible()


def test_what_is_wrong_in_the_form_is_said_beside_its_field(page, up):
    page.goto(f"{up.url('CONSOLE')}/score/demo")
    visits.fill_applicant(page, **(APPLICANT | {"term_months": 999, "amount": ""}))
    page.get_by_role("button", name="Score", exact=True).click()
    for name in ("term_months", "amount"):
        expect(page.locator(f".field.wrong:has(#{name}) .hint strong")).to_be_visible()
    expect(page.locator("#term_months")).to_have_value("999")
    expect(page.locator("#answer")).to_have_count(0)


def test_a_file_of_applicants_comes_back_scored(page, up, tmp_path):
    file = tmp_path / "applicants.csv"
    rows = [APPLICANT, APPLICANT | {"credit_score": 800}, APPLICANT | {"income": "lots"}]
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(APPLICANT))
        writer.writeheader()
        writer.writerows(rows)
    page.goto(f"{up.url('CONSOLE')}/score/demo")
    page.get_by_label("CSV file").set_input_files(file)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Score the file").click()
    assert waiting.value.suggested_filename == "demo-scored.csv"
    found = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
    assert [row["credit_score"] for row in found] == ["671", "800", "671"]
    assert float(found[0]["probability"]) > float(found[1]["probability"]) > 0
    assert "income" in found[2]["refused_because"]
    assert found[2]["decision"] == ""


def test_moving_the_threshold_moves_every_figure(page, up, live, said):
    page.goto(f"{up.url('CONSOLE')}/models/{live}/trade-off")
    own = visits.figures(page)
    visits.move_threshold(page, 0.9)
    seen = visits.figures(page)
    assert set(seen) >= {"Approval rate", "Precision", "Recall", "Expected cost", "Impact ratio"}
    assert seen["Approval rate"] != own["Approval rate"]
    assert float(seen["Recall"].rstrip("%")) < float(own["Recall"].rstrip("%"))
    assert seen["Expected cost"] != own["Expected cost"]
    page.get_by_role("link", name="the model's own").click()
    page.wait_for_url(re.compile(r"trade-off\?$|trade-off$"))
    assert visits.figures(page) == own
    assert said == []


@pytest.mark.usefixtures("night")
def test_a_model_shows_its_verdict_and_its_card(page, up, live, said):
    page.goto(f"{up.url('CONSOLE')}/models")
    expect(page.get_by_role("row").filter(has_text=live).get_by_text("live", exact=True)).to_be_visible()
    page.get_by_role("link", name=live).click()
    expect(page.get_by_role("heading", name="The gate's verdict")).to_be_visible()
    card = page.frame_locator("iframe")
    expect(card.get_by_role("heading").first).to_be_visible()
    assert said == []


@pytest.mark.usefixtures("night")
def test_two_models_stand_side_by_side(page, up):
    page.goto(f"{up.url('CONSOLE')}/models?usecase=demo")
    for nth in range(2):
        page.get_by_role("checkbox").nth(nth).check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("row").filter(has_text="roc auc")).to_be_visible()
    assert page.get_by_role("columnheader").count() >= 6


@pytest.mark.usefixtures("night")
def test_drift_is_seen_night_by_night(page, up, day):
    page.goto(f"{up.url('CONSOLE')}/drift?usecase=demo")
    expect(page.get_by_role("columnheader", name=str(day))).to_be_visible()
    expect(page.get_by_role("row").nth(1)).to_contain_text("region")
    expect(page.locator("td.act").first).to_be_visible()


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize("width", [420, 1280])
def test_no_page_is_wider_than_the_screen(chromium, up, live, width):
    page = visits.new_page(chromium, width=width)
    wide = []
    for path in (*PAGES, f"/models/{live}", f"/models/{live}/trade-off"):
        page.goto(f"{up.url('CONSOLE')}{path}")
        if visits.is_too_wide(page):
            wide.append(path)
    page.context.close()
    assert wide == []


def test_everything_works_without_javascript(chromium, up, live):
    context = chromium.new_context(java_script_enabled=False)
    page: Page = context.new_page()
    page.goto(f"{up.url('CONSOLE')}/score/demo?example=1")
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#answer")).to_be_visible()
    page.goto(f"{up.url('CONSOLE')}/models/{live}/trade-off?threshold=0.5")
    expect(page.locator("#figures")).to_contain_text("Approval rate")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#figures")).to_contain_text("Approval rate")
    context.close()
