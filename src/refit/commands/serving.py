"""Commands around the served model: serve, check-bento, and what `release --image` writes."""

from pathlib import Path
from typing import Annotated, Final

import typer

from refit.commands.app import Name, app, open_ledger, settings_read
from refit.saying import unfailing
from refit.settings import Settings
from refit.terminal import err, out, print_json

SERVICE_IMAGE: Final = "refit-service:local"


@app.command()
def serve(
    usecase: Name,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: REFIT_HOST, 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: REFIT_SERVICE_PORT, 3000.")] = None,
    bento: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Serve this Bento alone, whatever the ledger says is live.")
    ] = None,
) -> None:
    """Serve the live release over HTTP, and swap to each new one without dropping a request."""
    from refit.loop.serve import start  # noqa: PLC0415 - heavy, and not needed for --help

    settings = settings_read()
    host, port = host or settings.host, port or settings.service_port
    echo = unfailing(err.print)
    if bento is not None:
        from refit.loop.serve_image import serve_image  # noqa: PLC0415 - as above

        serve_image(settings, bento, usecase, host=host, port=port, echo=echo)
        return
    start(settings, usecase, host=host, port=port, echo=echo)


@app.command()
def check_bento(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a built Bento.")],
) -> None:
    """Start a Bento, ask it its golden records, and end it; what the build of a release's image runs."""
    from refit.loop.serve_image import check_bento as run  # noqa: PLC0415 - heavy, and not needed for --help

    out.print(f"{run(Settings.read(), folder)} answers as it was trained")


def write_image(usecase: str, folder: Path, *, base: str, as_json: bool) -> None:
    """Write the folder from which an image of the live release is built, and say how to build it."""
    from refit.loop.serve_image import image_of_live  # noqa: PLC0415 - heavy, and not needed for --help

    with open_ledger() as desk:
        image = image_of_live(desk, desk.usecase(usecase).name, folder, base=base)
    if as_json:
        print_json(image.to_json())
        return
    out.print(f"{image.version} of {usecase} is in {folder}; now: docker build --tag {image.tag} {folder}")
