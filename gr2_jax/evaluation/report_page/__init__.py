"""How the report looks: HTML, its style, figures as SVG. `gr2_jax.pipeline.report_page` has what it says of a run."""
