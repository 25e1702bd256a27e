"""What a run shows in the Prefect UI: a summary, the drift table, the link to the full report, the report itself.

The functions that make the content are pure; `leave_*` put it where the UI finds it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.artifacts_summary import STATUSES, Account, label, summary
from refit.usecase.model import UseCase

if TYPE_CHECKING:
    from uuid import UUID

    from refit.monitoring.psi import Drift

STEP: Final = 0.05
"""The bar moves by so much at least: each move is a request."""


def drift_rows(drift: "Drift", usecase: UseCase) -> list[dict[str, Any]]:
    """Return the drift table, the score first, then the worst column first; those not checked come last."""
    columns = sorted(drift.columns, key=lambda column: (STATUSES.index(column.status), -(column.psi or 0.0)))
    found = columns if drift.score is None else [drift.score, *columns]
    return [
        {
            "column": column.column,
            "status": column.status,
            "PSI": _rounded(column.psi, 3),
            "why": column.why,
            "missing before": _share(column.missing_reference),
            "missing now": _share(column.missing_current),
            "never seen before": _share(column.unseen_share),
            "weight in the model": _share(column.importance),
            "title": label(column.column, usecase),
        }
        for column in found
    ]


def frame(url: str) -> dict[str, Any]:
    """Return the data of a `rich` artifact: a small page that holds nothing but the report's own address.

    The report's megabytes stay where they are; the UI puts this page in a frame that may run scripts and no more.
    """
    style = "position:fixed;inset:0;width:100%;height:100%;border:0"
    return {"html": f'<iframe src="{_attribute(url)}" style="{style}"></iframe>', "sandbox": ["allow-scripts"]}


def key(usecase: str, what: str) -> str:
    """Return an artifact's key: lower-case letters, figures and dashes.

    >>> key("retail_churn", "drift")
    'retail-churn-drift'
    """
    return f"{usecase.replace('_', '-')}-{what}"


class Framed(Artifact):
    """A `rich` artifact. Prefect's own class turns its data into text, which the UI then shows as nothing."""

    type: str | None = "rich"
    url: str

    async def aformat(self) -> Any:
        """Return the data as the UI wants it, for a flow that awaits."""
        return frame(self.url)

    def format(self, **_: Any) -> Any:
        """Return the data as the UI wants it."""
        return frame(self.url)


def leave_drift(run: Account, drift: "Drift", framed: str | None) -> None:
    """Leave the drift table, and where there is a report, the link to it and the report in its frame.

    Args:
        framed: The address of the report itself, for the frame.
    """
    title = f"{run.usecase.title}, {run.as_of:%Y-%m-%d}"
    create_table_artifact(
        drift_rows(drift, run.usecase),
        key=key(run.usecase.name, "drift"),
        description=f"{title}: {drift.n_current:,} current against {drift.n_reference:,} reference records",
    )
    if run.report_url is not None:
        create_link_artifact(
            run.report_url,
            link_text="Open the full drift report",
            key=key(run.usecase.name, "report-link"),
            description=f"The Evidently report of {title}",
        )
    if framed is not None:
        description = f"The Evidently report of {title}, in place"
        Framed(key=key(run.usecase.name, "report"), description=description, url=framed).create()


def leave_picture(usecase: UseCase, markdown: str) -> None:
    """Leave the picture of PSI by column over the last runs."""
    create_markdown_artifact(
        markdown, key=key(usecase.name, "drift-history"), description=f"{usecase.title}: PSI by column, run by run"
    )


def leave_progress(usecase: str) -> Callable[[float], None]:
    """Leave a bar that shows how far a training is; return what moves it, from 0 to 1 and never back."""
    bar = cast("UUID", create_progress_artifact(0.0, key=key(usecase, "training"), description="Training"))
    shown = 0.0

    def move(fraction: float) -> None:
        nonlocal shown
        if fraction - shown >= STEP or (fraction >= 1.0 and shown < 1.0):
            shown = min(fraction, 1.0)
            update_progress_artifact(bar, 100 * shown)

    return move


def leave_summary(run: Account) -> None:
    """Leave the summary."""
    create_markdown_artifact(
        summary(run),
        key=key(run.usecase.name, "summary"),
        description=f"What came in, what drifted, what was decided and why: {run.as_of:%Y-%m-%d}",
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
