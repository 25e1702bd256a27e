"""The key that opens one report's page and no other."""

import hashlib
import hmac


def report_key(token: str, report_id: str) -> str:
    """Return the key of a report under the console's token: the Prefect UI's frame brings no cookie along."""
    return hmac.new(token.encode(), f"report {report_id}".encode(), hashlib.sha256).hexdigest()
