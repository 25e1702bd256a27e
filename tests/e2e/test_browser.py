"""What the people on call and the credit analyst see: `refit up` in Debian's chromium, from the first click on.

One product and one browser for the whole file; the tests go on from each other like a working day.
"""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import visits
from tests.e2e.product import LAST_LINE, Up, ask

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
    # The page shows each task's state too, so the run itself is asked whether it has ended.
    up.wait_until(lambda: ended(up, page.url), seconds=visits.NIGHT_MS / 1000)
    yield page.url
    page.context.close()


def run_of(up, address):
    """Return the run that a page of the UI shows, as the server tells of it."""
    number = address.partition("/flow-run/")[2].partition("?")[0]
    return ask(f"{up.url('PREFECT')}/api/flow_runs/{number}").json()


def ended(up, address):
    return run_of(up, address)["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="module")
def live(up, night):  # noqa: ARG001 - the night may promote another
    """The live model, once the service has swapped to the one that the console scores with."""

    def agreed():
        served = ask(f"{up.url('SERVICE')}/model").json()["version"]
        shown = ask(f"{up.url('CONSOLE')}/score/demo").text
        return served if f'href="/models/{served}"' in shown else None

    return up.wait_until(agreed)


def test_a_night_runs_from_the_uis_own_form_to_completed(up, night, day):
    run = run_of(up, night)
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
    expect(told).to_contain_text("Region (PSI")
    expect(told).to_contain_text("Why it was decided: retrain")
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
    answer = visits.score(page)
    expect(answer).to_be_focused()
    expect(answer.get_by_role("heading", name=re.compile("^(Approve|Decline)$"))).to_be_visible()
    expect(answer.get_by_text("Points", exact=True).first).to_be_visible()
    expect(answer.locator("dd.large")).to_have_count(3)
    assert answer.locator("ol.reasons li").count() >= 1
    assert answer.locator("table.bars svg rect").count() >= 8
    expect(visits.field(page, "income")).to_have_value("38500")
    assert said == []
    service = ask(f"{up.url('SERVICE')}/predict", json=APPLICANT).json()
    expect(answer.locator("dd.large").nth(0)).to_have_text(str(round(service["points"])))
    expect(answer.get_by_role("heading").first).to_have_text(service["decision"].capitalize())
    expect(page.get_by_text(live).first).to_be_visible()


def test_a_printed_decision_holds_the_decision_what_was_entered_and_nothing_of_the_page(page, up, live):
    page.goto(f"{up.url('CONSOLE')}/score/demo")
    visits.fill_applicant(page, **APPLICANT)
    answer = visits.score(page)
    expect(page.get_by_role("button", name="Print this decision")).to_be_visible()
    expect(answer.locator(".paper")).to_be_hidden()
    page.emulate_media(media="print")
    expect(answer.get_by_role("heading", name=re.compile("^(Approve|Decline)$"))).to_be_visible()
    expect(answer.get_by_role("row").filter(has_text="Yearly income").last).to_contain_text("38500 USD")
    expect(answer.get_by_text(live)).to_be_visible()
    for elsewhere in ("header.top", ".applicant", "form", "button", ".filters"):
        assert page.locator(f"{elsewhere}:visible").count() == 0


def test_what_is_wrong_in_the_form_is_said_beside_its_field(page, up):
    page.goto(f"{up.url('CONSOLE')}/score/demo")
    visits.fill_applicant(page, **(APPLICANT | {"term_months": 999, "amount": ""}))
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator(".wrongs")).to_be_focused()
    for name, why in (("term_months", "above 120"), ("amount", "missing")):
        expect(visits.field(page, name)).to_have_accessible_description(re.compile(f"^{why}"))
        assert visits.field(page, name).get_attribute("aria-invalid") == "true"
    expect(visits.field(page, "term_months")).to_have_value("999")
    expect(page.locator("#answer")).to_have_count(0)
    page.locator(".wrongs").get_by_role("link", name="Term").click()
    expect(visits.field(page, "term_months")).to_be_focused()


def test_an_applicant_is_scored_and_a_threshold_moved_by_the_keyboard_alone(page, up, live):
    page.goto(f"{up.url('CONSOLE')}/score/demo")
    for name, value in (("amount", "9000"), ("term_months", "36"), ("credit_score", "671")):
        visits.focus_by_keyboard(page, visits.field(page, name))
        page.keyboard.type(value)
    visits.focus_by_keyboard(page, visits.field(page, "home_ownership"))
    page.keyboard.type("rent")
    visits.focus_by_keyboard(page, page.get_by_role("button", name="Score", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_be_focused()
    expect(visits.field(page, "home_ownership")).to_have_value("rent")
    page.goto(f"{up.url('CONSOLE')}/models/{live}/trade-off")
    own, address = visits.figures(page), page.url
    slider = page.get_by_label("Decline from a probability of")
    visits.focus_by_keyboard(page, slider)
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(slider).to_be_focused()
    assert page.url == address  # the page waits until it is asked
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("threshold="))
    assert visits.figures(page) != own


def test_the_first_tab_leads_past_the_menu(page, up):
    page.goto(f"{up.url('CONSOLE')}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#main$"))


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
    assert found[2]["refused_because"] == "line 4, income: not a number"
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
    answer = visits.score(page)
    expect(answer).to_be_focused()
    expect(page.get_by_role("button", name="Print this decision")).to_be_hidden()
    page.goto(f"{up.url('CONSOLE')}/models/{live}/trade-off?threshold=0.5")
    expect(page.locator("#figures")).to_contain_text("Approval rate")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#figures")).to_contain_text("Approval rate")
    context.close()
