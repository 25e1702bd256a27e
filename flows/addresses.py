"""Where a browser on this machine finds the parts of a running `refit`."""


def report_url(host: str, port: int, report_id: str) -> str:
    """Return where the console shows a report.

    >>> report_url("127.0.0.1", 8080, "5f0c")
    'http://127.0.0.1:8080/reports/5f0c'
    """
    return f"http://{shown_host(host)}:{port}/reports/{report_id}"


def shown_host(host: str) -> str:
    """Return a host as a browser on this machine reaches it.

    >>> shown_host("0.0.0.0"), shown_host("::1"), shown_host("loans.example")
    ('127.0.0.1', '[::1]', 'loans.example')
    """
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - not bound here: every address includes the loopback one
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
