"""`gr2 serve`: a run's rows behind a JSON API, a page and an MCP server."""
