"""`gr2 serve --mcp`: two tools for assistants that speak the Model Context Protocol, on stdin and stdout."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from gr2_jax import __version__
from gr2_jax.errors import UserError, nearest
from gr2_jax.search.opened import OpenRetriever
from gr2_jax.serving.requests import LONGEST_QUERY

_DEEPEST = 100  # documents of a list
_CHARACTERS = 500  # of each text in a list; the tool `document` returns all of it


def make_server(name: str, rows: Mapping[str, OpenRetriever]) -> MCPServer:
    """A server whose `run()` answers until stdin ends."""
    first = next(iter(rows.values()))
    server = MCPServer(f"gr2_jax: {name}", version=__version__)

    @server.tool(
        description=f"Search the {len(first.documents):,} documents of {name}; the best are first. Texts are cut at "
        f"{_CHARACTERS} characters: `document` has all of one."
    )
    def search(
        query: Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY)],
        k: Annotated[int, Field(ge=1, le=_DEEPEST, description="documents")] = 10,
        row: Annotated[str, Field(description=f"how to search: {', '.join(rows)}")] = first.row,
        only: Annotated[str | None, Field(description="an id, or a pattern of ids such as docs/*")] = None,
    ) -> list[dict[str, Any]]:
        if row not in rows:
            raise ToolError(f"there is no row '{row[:100]}': {nearest(row[:100], rows)}")
        if not query.strip():
            raise ToolError("a query must have words in it")
        try:
            searched = rows[row] if only is None else rows[row].only(only)
        except UserError as error:
            raise ToolError(str(error)) from error
        return [dataclasses.asdict(hit) | {"text": hit.text[:_CHARACTERS]} for hit in searched.search(query, k)]

    @server.tool(description=f"The whole text of a document of {name}, by its doc_id.")
    def document(doc_id: str) -> dict[str, str]:
        try:
            found = first.document(doc_id)
        except UserError as error:
            raise ToolError(str(error)) from error
        return {"doc_id": found.doc_id, "title": found.title, "url": found.url, "text": found.text}

    return server
