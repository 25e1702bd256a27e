"""What a person does in the browser: the Prefect UI's pages and the console's, driven by Playwright.

Nothing here sleeps: every step waits for what a person would see.
"""

import os
import re
import shutil
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
HOW_TO_GET_IT = "needs Debian's chromium: apt-get install chromium"
WIDTH = 1280
PATIENCE_MS = 60_000
"""For a page, on a machine that does a lot besides."""
NIGHT_MS = 420_000


def is_there():
    return Path(CHROMIUM).exists()


@contextmanager
def browser():
    """Start chromium; as root it refuses its own sandbox, and in a container `/dev/shm` is small."""
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
    """Send the form off, and follow the UI's own link to the run."""
    page.get_by_role("button", name="Submit").click()
    # The notice slides in, and nobody could click on it before it rests.
    page.get_by_role("button", name="View run").first.dispatch_event("click")
    page.wait_for_url(re.compile("/runs/flow-run/"))


def follow(page: Page) -> None:
    """Watch the run's page until it says that it is completed; the page brings itself up to date."""
    ended = re.compile("^(Completed|Failed|Crashed)$")
    badge = page.locator(".page-heading, .p-heading, header, main").get_by_text(ended)
    badge.first.wait_for(timeout=NIGHT_MS)
    expect(badge.first).to_have_text("Completed")


def open_artifacts(page: Page) -> None:
    page.get_by_text("Artifacts", exact=True).last.click()
    expect(artifact(page, "demo-summary")).to_be_visible()
    # The page asks for the tasks' artifacts once somebody has scrolled so far.
    artifact(page, "demo-summary").hover()
    page.mouse.wheel(0, 2000)
    expect(artifact(page, "demo-drift")).to_be_visible()


def artifact(page: Page, key: str) -> Locator:
    return page.get_by_text(key, exact=True).last


def report_in_frame(page: Page) -> FrameLocator:
    """Return the report where the run's page shows it: a frame in the artifact's own frame."""
    return page.frame_locator("iframe").frame_locator("iframe")


def fill_applicant(page: Page, **values: object) -> None:
    """Fill the applicant form by its labels, as a person reads them."""
    for label, value in values.items():
        found = page.locator(f"#{label}")
        if found.evaluate("field => field.tagName") == "SELECT":
            found.select_option(str(value))
        else:
            found.fill(str(value))


def move_threshold(page: Page, share: float) -> None:
    """Drag the threshold to a share of its range, as the keyboard does: the page then sends itself."""
    slider = page.get_by_label("Decline from a probability of")
    before = page.url
    slider.evaluate(
        "(range, share) => { range.value = share * range.max;"
        " range.dispatchEvent(new Event('input')); range.dispatchEvent(new Event('change')); }",
        share,
    )
    page.wait_for_url(lambda url: url != before)


def figures(page: Page) -> dict[str, str]:
    """Return the figures of the trade-off page by their names."""
    names = page.locator("#figures dt").all_inner_texts()
    return dict(zip(names, page.locator("#figures dd.large").all_inner_texts(), strict=True))


def is_too_wide(page: Page) -> bool:
    """Whether the page scrolls sideways as a whole, which on a telephone hides half of it."""
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
