"""ltu-serve: decisions and chat over HTTP."""

from typing import Annotated

import typer

from ltu.cli.console import application, command, wrong_usage
from ltu.cli.options import LARGEST, BatchInvariant, Device, Gguf, KvMemory, Threads, memory_of
from ltu.errors import needs
from ltu.model import load

app = application()


Origins = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="A web page's origin that may ask from browsers (CORS)."),
]


@app.command()
@command
def serve(
    gguf: Gguf = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on. Others than this machine's own need --api-key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            envvar="LTU_API_KEY",
            help="A key that requests must send as Authorization: Bearer KEY; may be given several times.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name in requests; without it made from the file's.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name by which browsers may call the server."),
    ] = None,
    allow_origin: Origins = None,
    max_requests: Annotated[
        int,
        typer.Option(min=1, max=LARGEST, help="Requests that are computed or wait; others get status 429."),
    ] = 256,
    max_body: Annotated[
        str, typer.Option(metavar="SIZE", help="The largest body of a request, as in 25M.")
    ] = "25M",
    device: Device = "auto",
    threads: Threads = None,
    kv_memory: KvMemory = None,
    batch_invariant: BatchInvariant = False,
) -> None:
    """Serves decisions and chat over HTTP, in the forms of OpenAI's and TypeSafe's clients.

    POST /v1/chat/completions, /v1/decisions, /v1/systemone; GET /v1/models, /health, /metrics.
    """
    with needs("serve"):
        from ltu.serve.app import create_app
        from ltu.serve.cores import threads_beside_http
        from ltu.serve.guard import is_loopback, local_hosts
        from ltu.serve.limits import Limits
        from ltu.serve.server import address_of, listen
        from ltu.serve.server import serve as run
    keys, local = [key for key in api_key or [] if key], is_loopback(host)
    if not local and not keys:
        raise wrong_usage("--host", f"{host} lets other machines ask; set --api-key, or LTU_API_KEY, too")
    limits = Limits(requests=max_requests, body_bytes=memory_of("--max-body", max_body) or 0)
    memory = memory_of("--kv-memory", kv_memory)
    hosts = local_hosts(host) | set(allow_host or []) if local or allow_host else {"*"}
    with listen(host, port) as listening:
        model = load(
            gguf, device, threads or threads_beside_http(), kv_memory=memory, batch_invariant=batch_invariant
        )
        with model:
            web = create_app(model, name, keys, hosts, limits, allow_origin or ())
            where = f"{web.state.service.name} at {address_of(listening)}"
            run(web, listening, lambda: print(f"listening: {where}", flush=True))


def main() -> None:
    app(prog_name="ltu-serve")
