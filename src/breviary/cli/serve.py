"""`breviary serve`: the page and the HTTP service, on this machine alone unless told otherwise."""

import logging
import os

import click

LOCAL = ("127.0.0.1", "localhost", "::1")
TOKEN = "BREVIARY_TOKEN"


@click.command()
@click.option("--model", "models", multiple=True, help="What can be asked for, the first unless said; may be repeated.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines in; then set a token."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--allow-host", "names", multiple=True, help="A name of this machine that clients may use.")
@click.option("--waiting", default=8, show_default=True, type=click.IntRange(1), help="Requests that may wait.")
@click.option("--max-bytes", default=5_000_000, show_default=True, type=click.IntRange(1000), help="Of one request.")
@click.option("--max-seconds", default=600, show_default=True, type=click.IntRange(1), help="For one request.")
def serve(
    models: tuple[str, ...],
    host: str,
    port: int,
    names: tuple[str, ...],
    waiting: int,
    max_bytes: int,
    max_seconds: int,
) -> None:
    """Summarise for whoever asks on http://HOST:PORT: a page for people, POST /summarise for programs.

    One model is in memory at a time. Where $BREVIARY_TOKEN is set, requests must bring it.
    """
    from breviary.errors import ConfigError

    token = os.environ.get(TOKEN)
    if host not in LOCAL and not token:
        raise ConfigError(f"{host} lets other machines in, and anyone there could use the service: set ${TOKEN}")
    import uvicorn

    from breviary.serve import app, choice, documents, engine
    from breviary.serve.desk import Desk

    made = engine.Engine(list(models) or choice.known(), 1000 * max_seconds)
    first = next(iter(made.models))
    click.echo(f"loading {first}", err=True)
    made.load(first)
    log = logging.getLogger("breviary")
    desk = Desk(made, waiting, report=lambda error: log.error("a request failed", exc_info=error))
    allowed = (*LOCAL, *names, *([] if host in LOCAL else [host]))
    settings = app.Settings(tuple(f"[{name}]" if ":" in name else name for name in allowed), token)
    service = app.create(desk, made.offer(max_bytes), documents.of_bytes, settings)
    click.echo(f"http://{host}:{port} answers with {', '.join(made.models)}", err=True)
    uvicorn.run(service, host=host, port=port, log_level="warning", timeout_graceful_shutdown=int(app.PATIENCE))
