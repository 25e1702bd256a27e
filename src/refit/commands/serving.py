"""Commands around the served model: serve."""

from typing import Annotated

import typer

from refit.commands.app import Name, app, open_ledger
from refit.settings import Settings
from refit.terminal import err


@app.command()
def serve(
    usecase: Name,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: REFIT_HOST, 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: REFIT_SERVICE_PORT, 3000.")] = None,
) -> None:
    """Serve the live release over HTTP, and swap to each new one without dropping a request."""
    from refit.loop.serve import serve as run  # noqa: PLC0415 - heavy, and not needed for --help

    settings = Settings.read()
    with open_ledger() as desk:
        run(
            desk,
            desk.usecase(usecase),
            host=host or settings.host,
            port=port or settings.service_port,
            echo=err.print,
        )
