"""Tell somebody what needs a person: a signed JSON message to a webhook.

`X-Refit-Signature` is `sha256=` and the HMAC-SHA256 of timestamp, full stop and body, under `REFIT_WEBHOOK_SECRET`; the
timestamp in it keeps an old message from being sent again as new. A message that cannot be delivered is logged and
stands in the Prefect run; it never fails the night that it tells of.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID, uuid4

import httpx
import structlog

from refit.errors import RefitError
from refit.settings import Settings

if TYPE_CHECKING:
    from refit.loop.monitor import Monitored
    from refit.loop.retrain import Retrained

Kind = Literal["data_blocked", "challenger_refused", "night_failed"]

PAUSES: Final = (0.5, 2.0, 8.0)
TIMEOUT_SECONDS: Final = 10.0
TRY_AGAIN: Final = frozenset({408, 425, 429})
SERVER_ERROR: Final = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Alert:
    """One message. `id` is the same however often it is sent, so that a receiver can tell a repetition."""

    kind: Kind
    usecase: str
    as_of: datetime
    summary: str
    reasons: tuple[str, ...] = ()
    model: str | None = None
    id: UUID = field(default_factory=uuid4)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "id": str(self.id), "as_of": self.as_of.isoformat(), "reasons": list(self.reasons)}


def of_decision(usecase: str, as_of: datetime, monitored: "Monitored") -> Alert | None:
    """Return the alert of a `block`; None for any other decision."""
    decision = monitored.decision
    if decision.action != "block":
        return None
    reasons = tuple(reason.why for reason in decision.reasons)
    return Alert("data_blocked", usecase, as_of, f"{usecase}: the new records look broken; nothing is trained", reasons)


def of_verdict(usecase: str, as_of: datetime, retrained: "Retrained") -> Alert | None:
    """Return the alert of a refused challenger; None where it was promoted."""
    verdict = retrained.verdict
    if verdict.outcome == "promote":
        return None
    reasons = tuple(f"{check.name}: {check.why}" for check in verdict.checks if check.outcome == "fail")
    summary = f"{usecase}: the gate refused {retrained.version}; what was live stays live"
    return Alert("challenger_refused", usecase, as_of, summary, reasons, retrained.version)


def of_failure(usecase: str, as_of: datetime, error: BaseException) -> Alert:
    """Return the alert of a night that failed; the message of an error that is not ours may hold a record's value."""
    kind = type(error).__name__
    why = str(error) if isinstance(error, RefitError) else "a fault of refit's own; the log has the trace"
    return Alert("night_failed", usecase, as_of, f"{usecase}: the night failed with {kind}", (why,))


def send(
    settings: Settings,
    alert: Alert | None,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Deliver an alert, and try again where that may help; False where there is nobody to tell, or nobody heard."""
    if alert is None or settings.webhook_url is None:
        return False
    body = json.dumps(alert.to_json(), separators=(",", ":")).encode()
    why = ""
    for pause in (*PAUSES, None):
        headers = _headers(settings, alert, body, str(int(clock())))
        try:
            answer = httpx.post(settings.webhook_url, content=body, headers=headers, timeout=TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = type(error).__name__
        else:
            if answer.is_success:
                log.info("alert.sent", usecase=alert.usecase, kind=alert.kind, id=str(alert.id))
                return True
            why = f"status {answer.status_code}"
            if answer.status_code < SERVER_ERROR and answer.status_code not in TRY_AGAIN:
                break
        if pause is not None:
            sleep(pause)
    log.error("alert.not_delivered", usecase=alert.usecase, kind=alert.kind, id=str(alert.id), why=why)
    return False


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return what `X-Refit-Signature` says of a body sent at a timestamp.

    >>> signature("s", "1", b"{}")
    'sha256=b253639bcd705ed1cda3073f66104f16988bd40272584dea7d0d345ae93e61cc'
    """
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def _headers(settings: Settings, alert: Alert, body: bytes, timestamp: str) -> Mapping[str, str]:
    headers = {
        "content-type": "application/json",
        "user-agent": "refit",
        "x-refit-id": str(alert.id),
        "x-refit-timestamp": timestamp,
    }
    if settings.webhook_secret is not None:
        headers["x-refit-signature"] = signature(settings.webhook_secret.get_secret_value(), timestamp, body)
    return headers
