"""`gr2 serve`: the rows of a run, or a bundle, behind a page, a JSON API, or an MCP server."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.errors import UserError
from gr2_jax.terminal import show

HELP = "a page and a JSON API to search with a run; or, with --mcp, tools for assistants"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workdir", help="a finished run, or a bundle")
    parser.add_argument("--rows", help="separated by commas (default: the run's first row, and BM25 if it has it)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this computer alone)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default: 8000)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds after which a search is given up")
    parser.add_argument("--mcp", action="store_true", help="speak the Model Context Protocol on stdin and stdout")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    if not 0 < options.timeout < 1e6:
        raise UserError(f"--timeout is {options.timeout:g}: it must be a number of seconds above 0")
    if not 0 <= options.port < 1 << 16:
        raise UserError(f"--port is {options.port}: it must be from 0, any free one, to 65535")
    import uvicorn  # noqa: F401 - an extra: missed before anything is loaded

    from gr2_jax.serving.opening import open_served

    names = [] if options.rows is None else [name.strip() for name in options.rows.split(",") if name.strip()]
    name, rows, judged = open_served(options.workdir, names)
    if options.mcp:
        from gr2_jax.serving.mcp import make_server

        make_server(name, {row.row: row for row in rows}).run()
        return 0

    from gr2_jax.serving.rows import ServedRows
    from gr2_jax.serving.server import serve

    def ready(url: str) -> None:
        show(f"{name}: {', '.join(row.row for row in rows)} over {len(rows[0].documents):,} documents")
        show(f"{url}  (the API: {url}/api; Ctrl-C stops)", flush=True)

    serve(ServedRows(name, rows, judged), host=options.host, port=options.port, seconds=options.timeout, ready=ready)
    return 0
