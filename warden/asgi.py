"""One ASGI application on one port: agents' paths go to the gateway, people's to Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warden.settings")

import django

django.setup(set_prefix=False)

from django.core.asgi import get_asgi_application  # noqa: E402 - after the settings

from gateway import routes  # noqa: E402
from gateway.app import Gateway, Receive, Scope, Send  # noqa: E402
from warden import tracing  # noqa: E402
from warden.checks import refuse_to_start  # noqa: E402
from warden.people import People  # noqa: E402


class Application:
    """Starts and stops the gateway with the server, and sends each request where it belongs."""

    def __init__(self) -> None:
        refuse_to_start()
        self.people = People(get_asgi_application())
        self.agents: Gateway | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and routes.is_ours(scope["path"]):
            if self.agents is None:
                raise RuntimeError("the server did not run the lifespan protocol")
            await self.agents(scope, receive, send)
        elif scope["type"] == "http":
            await self.people(scope, receive, send)
        else:
            raise ValueError(f"{scope['type']} is not spoken here")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.agents = Gateway()
                self.agents.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self.agents:
                    await self.agents.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


application = tracing.around(Application())
