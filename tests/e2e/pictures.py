"""`python -m tests.e2e.pictures`: draw docs/images/*.png anew, from the product as it is.

It starts `refit up` on a home of its own, plays a few months of the simulated loan book through it, and takes each
picture where a person would stand.
"""

import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.e2e import visits
from tests.e2e.product import LAST_LINE, Up

FOLDER = Path(__file__).parents[2] / "docs" / "images"
MONTHS = 5
LARGEST = 200_000
COLOURS = 256
APPLICANT = {
    "income": 31000,
    "amount": 14000,
    "term_months": 60,
    "debt_to_income": 0.38,
    "employment_years": 1.5,
    "credit_score": 612,
    "home_ownership": "rent",
    "purpose": "small_business",
    "region": "islands",
}


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    today = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="refit-pictures-") as scratch:
        up = Up(Path(scratch) / "home")
        # The nights before today, by hand: a history to look at.
        for month in range(MONTHS, 0, -1):
            day = (today - timedelta(days=30 * month)).date()
            up.run("demo", "--as-of", day)
            up.run("nightly", "demo", "--as-of", day)
            say(f"the night of {day}")
        up.start()
        try:
            up.wait_for(LAST_LINE)
            say("refit is up")
            with visits.browser() as chromium:
                draw(chromium, up, (today + timedelta(days=30)).date())
        finally:
            up.end()


def draw(chromium: Browser, up: Up, day: object) -> None:
    """Take every picture; the Prefect UI's first, for the night they show is what the console then tells of."""
    up.run("demo", "--drift", "--as-of", day)
    prefect, console = up.url("PREFECT"), up.url("CONSOLE")
    page = visits.new_page(chromium, height=840)
    visits.open_form(page, prefect, "nightly-demo")
    visits.fill_form(page, day)
    keep(page, "prefect-form")
    visits.submit_form(page)
    visits.follow(page)
    page.reload()  # the graph is then drawn whole
    expect(page.get_by_text("INFO").first).to_be_visible()
    keep(page, "prefect-run")
    night = page.url
    for key, name, see in (
        ("demo-summary", "prefect-summary", lambda p: p.get_by_role("cell", name="gate")),
        ("demo-drift-history", "prefect-drift-history", lambda p: p.locator("img[src^='data:image/png']")),
        ("demo-report", "prefect-report", lambda p: visits.report_in_frame(p).get_by_text("Dataset Drift is detected")),
    ):
        page.goto(night)
        visits.open_artifacts(page)
        visits.artifact(page, key).click()
        expect(see(page)).to_be_visible()
        keep(page, name)
    page.context.close()
    draw_console(chromium, console)


def draw_console(chromium: Browser, console: str) -> None:
    """Take the pictures of the console."""
    page = visits.new_page(chromium, height=840)
    page.goto(f"{console}/")
    keep(page, "overview")
    page.goto(f"{console}/models")
    keep(page, "models")
    page.get_by_role("link", name=re.compile("^demo-")).first.click()
    expect(page.frame_locator("iframe").get_by_role("heading").first).to_be_visible()
    keep(page, "model")
    page.goto(f"{console}/drift?usecase=demo")
    keep(page, "drift")
    page.goto(f"{console}/reports")
    page.get_by_role("link", name=re.compile("drift as of")).first.click()
    expect(page.frame_locator("iframe").get_by_text("Dataset Drift is detected")).to_be_visible()
    keep(page, "report")
    page.goto(f"{console}/score/demo")
    visits.fill_applicant(page, **APPLICANT)
    visits.score(page)
    version = page.get_by_role("link", name=re.compile("^demo-")).first.inner_text()
    keep(page, "score")
    page.goto(f"{console}/models/{version}/trade-off")
    visits.move_threshold(page, 0.6)
    keep(page, "trade-off")
    page.context.close()


def keep(page: Page, name: str) -> None:
    """Keep what the page shows as a small PNG."""
    drawn = Image.open(BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    content = page.locator("body > main").bounding_box() if page.locator("body > main").count() else None
    if content is not None:  # a short page of the console ends where it ends
        drawn = drawn.crop((0, 0, drawn.width, min(drawn.height, round(content["y"] + content["height"]))))
    path = FOLDER / f"{name}.png"
    drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        sys.exit(f"{path} holds {size:,} bytes; {LARGEST:,} at most")
    say(f"{path.name}, {size / 1000:.0f} kB")


def say(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
