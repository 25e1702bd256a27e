"""The Bento: `bentoml serve` and `refit serve` both start here."""

from typing import Any

import bentoml
from bentoml import Service

from bentos.application import application
from bentos.body import Receive, Scope, Send
from bentos.desk import Desk


class FrontService(Service):  # type: ignore[misc] # bentoml carries no types
    """A service whose requests reach our desk before BentoML's own layers.

    Those cost 0.5 ms a request, leave a 60 s timer behind for each, coerce inputs, and log refused ones with their
    values. What is left to BentoML is the life of the process: packaging, start, stop.
    """

    def to_asgi(self, is_main: bool = True) -> Any:
        """Return the application both kinds of serving run."""
        behind = super().to_asgi(is_main)
        desk = self.inner.desk()

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await desk(scope, receive, send)
            else:
                await behind(scope, receive, send)

        return front


@bentoml.service(name="refit", service_class=FrontService, workers=1)
class Refit:
    """Scores records with the bundle this Bento carries."""

    @staticmethod
    def desk() -> Desk:
        """Return what answers; made before the process says that it is ready, and not by the thread that serves."""
        return application()
