"""What a person does in the browser: the Prefect UI's pages and the console's, driven by Playwright.

Nothing here sleeps: every step waits for what a person would see.
"""

import os
import re
import shutil
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import httpx
from playwright.sync_api import Browser, FrameLocator, Locator, Page, Response, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
HOW_TO_GET_IT = "needs Debian's chromium: apt-get install chromium"
WIDTH = 1280
PATIENCE_MS = 60_000
"""For a page, on a machine that does a lot besides."""
SUBMIT_MS = 180_000
SUBMITS = 5
"""Prefect's server on SQLite answers 503 while two write at once; unlike a program, the page does not ask again."""
NIGHT_MS = 420_000
SCROLLS = 10


def is_there():
    return Path(CHROMIUM).exists()


@contextmanager
def browser():
    """Start chromium; as root it refuses its own sandbox, and in a container `/dev/shm` is small."""
    expect.set_options(timeout=PATIENCE_MS)
    arguments = ["--disable-dev-shm-usage", "--hide-scrollbars", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield started
        finally:
            started.close()


def new_page(started: Browser, *, width=WIDTH, height=900, scheme="light") -> Page:
    context = started.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True, locale="en-GB"
    )
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


def open_form(page: Page, prefect: str, deployment: str) -> None:
    """Go to the form in which the Prefect UI asks for a run's parameters."""
    page.goto(f"{prefect}/deployments")
    page.get_by_role("link", name=deployment, exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    expect(page.get_by_text("The last day to look at")).to_be_visible()


def fill_form(page: Page, day: date) -> None:
    page.get_by_role("button", name="date", exact=True).click()
    page.locator(".p-date-button__control").click()
    page.locator("input[type=date]").fill(day.isoformat())
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".p-date-picker")).to_have_count(0)


def submit_form(page: Page) -> None:
    """Send the form off, and go to the page of the run that it made.

    The notice that links there goes by itself after a moment, so what the form's own request brought back is followed.
    A form that was refused stays as it is, to be sent again.
    """
    for _ in range(SUBMITS):
        with page.expect_response(is_a_new_run, timeout=SUBMIT_MS) as made:
            page.get_by_role("button", name="Submit").click()
        if made.value.status != httpx.codes.SERVICE_UNAVAILABLE:
            break
    assert made.value.ok, made.value.text()
    prefect = page.url.partition("/deployments")[0]
    page.goto(f"{prefect}/runs/flow-run/{made.value.json()['id']}")


def is_a_new_run(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/create_flow_run")


def follow(page: Page) -> None:
    """Watch the run's page until it says that it is completed; the page brings itself up to date."""
    ended = re.compile("^(Completed|Failed|Crashed)$")
    badge = page.locator(".page-heading, .p-heading, header, main").get_by_text(ended)
    badge.first.wait_for(timeout=NIGHT_MS)
    expect(badge.first).to_have_text("Completed")


def open_artifacts(page: Page) -> None:
    page.get_by_text("Artifacts", exact=True).last.click()
    expect(artifact(page, "demo-summary")).to_be_visible()
    # The page asks for the tasks' artifacts once somebody has scrolled so far, and its list grows as they come.
    for _ in range(SCROLLS):
        artifact(page, "demo-summary").hover()
        page.mouse.wheel(0, 2000)
        with suppress(PlaywrightTimeoutError):
            artifact(page, "demo-drift").wait_for(timeout=PATIENCE_MS / SCROLLS)
            return
    expect(artifact(page, "demo-drift")).to_be_visible()


def artifact(page: Page, key: str) -> Locator:
    return page.get_by_text(key, exact=True).last


def report_in_frame(page: Page) -> FrameLocator:
    """Return the report where the run's page shows it: a frame in the artifact's own frame."""
    return page.frame_locator("iframe").frame_locator("iframe")


def field(page: Page, name: str) -> Locator:
    """Return the field of an input."""
    return page.locator(f'.applicant [name="{name}"]')


def fill_applicant(page: Page, **values: object) -> None:
    """Fill the applicant form, each field by its input's name."""
    for name, value in values.items():
        found = field(page, name)
        if found.evaluate("field => field.tagName") == "SELECT":
            found.select_option(str(value))
        else:
            found.fill(str(value))


def score(page: Page) -> Locator:
    """Send the form off, and return the answer once it is there."""
    page.get_by_role("button", name="Score", exact=True).click()
    answer = page.locator("#answer")
    expect(answer).to_be_visible()
    return answer


def move_threshold(page: Page, share: float) -> None:
    """Drag the threshold to a share of its range, and let go: the page then sends itself."""
    slider = page.get_by_label("Decline from a probability of")
    before = page.url
    slider.evaluate(
        "(range, share) => { range.value = share * range.max;"
        " range.dispatchEvent(new Event('input')); range.dispatchEvent(new Event('change')); }",
        share,
    )
    page.wait_for_url(lambda url: url != before)


def focus_by_keyboard(page: Page, wanted: Locator, *, most: int = 60) -> None:
    """Press Tab until the focus stands on what is wanted."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab did not lead to {wanted} in {most} steps")


def figures(page: Page) -> dict[str, str]:
    """Return the figures of the trade-off page by their names."""
    names = page.locator("#figures dt").all_inner_texts()
    return dict(zip(names, page.locator("#figures dd.large").all_inner_texts(), strict=True))


def is_too_wide(page: Page) -> bool:
    """Whether the page scrolls sideways as a whole, which on a telephone hides half of it."""
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
