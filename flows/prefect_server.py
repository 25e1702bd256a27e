"""`python -m flows.prefect_server server start`: Prefect's own command line, for a server that keeps SQLite."""

from refit.store.sqlite_cursors import let_go_of_failed_statements


def main() -> None:
    """Run the command."""
    from prefect.cli import app  # noqa: PLC0415 - takes seconds, and tests import this module

    let_go_of_failed_statements()
    app()


if __name__ == "__main__":
    main()
