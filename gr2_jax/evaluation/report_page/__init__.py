"""How the report looks: HTML, its style, and figures as SVG. What it says of a run is `gr2_jax.pipeline.report_page`."""
