"""Where a browser on this machine finds the parts of a running `refit`."""

from refit.loop.report_key import report_key
from refit.settings import Settings


def console_url(settings: Settings) -> str:
    """Return where a browser finds the console: the address the settings name, or this machine's."""
    return (settings.console_url or f"http://{shown_host(settings.host)}:{settings.console_port}").rstrip("/")


def report_url(settings: Settings, report_id: str) -> str:
    """Return where the console shows a report.

    >>> report_url(Settings(console_url="https://loans.example/"), "5f0c")
    'https://loans.example/reports/5f0c'
    """
    return f"{console_url(settings)}/reports/{report_id}"


def frame_url(settings: Settings, report_id: str) -> str:
    """Return where the report itself lies, for a frame, with its key where the console asks for a token.

    >>> frame_url(Settings(console_url="https://loans.example"), "5f0c")
    'https://loans.example/reports/5f0c/html'
    """
    address = f"{report_url(settings, report_id)}/html"
    if settings.console_token is None:
        return address
    return f"{address}?key={report_key(settings.console_token.get_secret_value(), report_id)}"


def prefect_api(settings: Settings) -> str:
    """Return the address of Prefect's API: the one the settings name, or that of this machine's server."""
    return settings.prefect_api_url or f"http://{shown_host(settings.host)}:{settings.prefect_port}/api"


def shown_host(host: str) -> str:
    """Return a host as a browser on this machine reaches it.

    >>> shown_host("0.0.0.0"), shown_host("::1"), shown_host("loans.example")
    ('127.0.0.1', '[::1]', 'loans.example')
    """
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - not bound here: every address includes the loopback one
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
