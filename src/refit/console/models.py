"""Pages on models: every challenger with its verdict, one in full, two side by side, and the ledger of releases."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from refit.console.headers import REPORT_POLICY
from refit.console.listing import SHOWN, begins_before, listing
from refit.console.pages import Pages, is_swept, kept
from refit.console.tradeoff import trade_off
from refit.store.ledger import Ledger
from refit.store.reports import Reports
from refit.store.rows import BundleHead, BundleRow, ReportRow, VerdictRow

TWO: Final = 2
METRICS: Final = ("roc_auc", "average_precision", "log_loss", "brier", "expected_calibration_error")
"""In this order, and others after them."""


@dataclass(frozen=True, slots=True)
class Models:
    """The pages on models."""

    pages: Pages
    ledger: Ledger
    reports: Reports

    def every(self, request: Request) -> Response:
        """Show every challenger of one use case or of all, newest first."""
        chosen = self.pages.chosen_name(request)
        heads = self.ledger.bundle_heads(chosen, limit=SHOWN + 1, before=begins_before(request))
        listed = listing(request, heads, {"usecase": chosen})
        verdicts = self.ledger.last_verdicts([head.version for head in listed.rows])
        live = {release.version for release in map(self.ledger.live, {head.usecase for head in heads}) if release}
        return self.pages.page(
            "models.html",
            title="Models",
            listed=listed,
            rows=[_listed(head, verdicts.get(head.version), head.version in live) for head in listed.rows],
            usecases=self.pages.usecases,
        )

    def one(self, request: Request) -> Response:
        """Show one model: verdict, metrics, and its card."""
        bundle = self._bundle(request.path_params["version"])
        verdict = self._verdict(bundle)
        return self.pages.page(
            "model.html",
            title=bundle.version,
            bundle=bundle,
            verdict=verdict,
            live=self.ledger.live(bundle.usecase),
            usecase=self.pages.usecases.get(bundle.usecase),
            metrics=_metrics(bundle.metrics),
            has_card=self._card(verdict) is not None,
            has_trade_off=trade_off(bundle.card, None) is not None,
        )

    def card(self, request: Request) -> Response:
        """Show the model card, as it was stored."""
        found = self._card(self._verdict(self._bundle(request.path_params["version"])))
        if found is None:
            raise HTTPException(404, "The card of this model was not kept as a page; its JSON was.")
        return HTMLResponse(kept(self.reports, found.path_html), headers={"content-security-policy": REPORT_POLICY})

    def card_json(self, request: Request) -> Response:
        """Show the card as JSON, with the verdict."""
        bundle = self._bundle(request.path_params["version"])
        verdict = self._verdict(bundle)
        told = None if verdict is None else {**asdict(verdict), "id": str(verdict.id)}
        content = {"card": bundle.card, "verdict": told}
        return JSONResponse(_plain(content))

    def compare(self, request: Request) -> Response:
        """Show two models side by side."""
        versions = request.query_params.getlist("version")
        if len(versions) != TWO:
            raise HTTPException(400, f"Tick two models to see them side by side; {len(versions)} came.")
        both = [self._bundle(version) for version in versions]
        return self.pages.page(
            "compare.html",
            title="Champion and challenger",
            bundles=both,
            verdicts=[self._verdict(bundle) for bundle in both],
            metrics=_side_by_side(both),
            importance=_importance(both),
        )

    def releases(self, request: Request) -> Response:
        """Show what was put live, put back and refused, newest first."""
        chosen = self.pages.chosen_name(request)
        rows = self.ledger.releases(chosen, limit=SHOWN + 1, before=begins_before(request))
        return self.pages.page(
            "releases.html",
            title="Releases",
            listed=listing(request, rows, {"usecase": chosen}),
            usecases=self.pages.usecases,
        )

    def trade_off(self, request: Request) -> Response:
        """Show what follows from a threshold on the newest matured records the model was tested on."""
        bundle = self._bundle(request.path_params["version"])
        found = trade_off(bundle.card, _threshold(request))
        if found is None:
            raise HTTPException(404, "This model has no threshold to move: its outcome has several classes.")
        return self.pages.page(
            "trade_off.html",
            title="Trade-off",
            bundle=bundle,
            usecase=self.pages.usecases.get(bundle.usecase),
            found=found,
            decide=bundle.card.get("decide", {}),
            test=bundle.card["parts"]["test"],
        )

    def _bundle(self, version: str) -> BundleRow:
        found = self.ledger.bundle(version)
        if found is None:
            raise HTTPException(404, "There is no model of that version.")
        return found

    def _verdict(self, bundle: BundleRow) -> VerdictRow | None:
        return next(iter(self.ledger.verdicts(bundle.usecase, limit=1, challenger=bundle.version)), None)

    def _card(self, verdict: VerdictRow | None) -> ReportRow | None:
        """Return where the card lies, None where there is none any more: it goes by its verdict's id."""
        found = None if verdict is None else self.ledger.report(verdict.id)
        return None if found is None or is_swept(self.reports, found.path_html) else found


def _listed(head: BundleHead, verdict: VerdictRow | None, is_live: bool) -> dict[str, Any]:
    failed = [] if verdict is None else [check["name"] for check in verdict.checks if check["outcome"] == "fail"]
    return {"head": head, "verdict": verdict, "failed": failed, "is_live": is_live}


def _metrics(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what is defined: how well it ranks, then how true its probabilities are, then what follows from them."""
    defined = [(name, one) for name, one in found.items() if isinstance(one, Mapping) and one.get("value") is not None]
    return sorted(defined, key=lambda metric: METRICS.index(metric[0]) if metric[0] in METRICS else len(METRICS))


def _side_by_side(both: Sequence[BundleRow]) -> list[tuple[str, list[Mapping[str, Any] | None]]]:
    names = dict.fromkeys(name for bundle in both for name, _ in _metrics(bundle.metrics))
    return [(name, [bundle.metrics.get(name) for bundle in both]) for name in names]


def _importance(both: Sequence[BundleRow]) -> list[tuple[str, list[float | None]]]:
    shares = [bundle.card.get("importance", {}) for bundle in both]
    names = dict.fromkeys(name for one in shares for name in one)
    rows = [(name, [one.get(name) for one in shares]) for name in names]
    return sorted(rows, key=lambda row: -max(share or 0.0 for share in row[1]))


def _threshold(request: Request) -> float | None:
    text = request.query_params.get("threshold")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise HTTPException(400, "A threshold is a number from 0 to 1.") from None
    if not 0 <= value <= 1:
        raise HTTPException(400, "A threshold is a number from 0 to 1.")
    return value


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case str() | int() | float() | None:
            return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
