"""The commands of `gr2`, one module each: HELP, `add_arguments(parser)`, `run(options, settings) -> exit code`.

`settings` are the arguments that the parser does not know. Modules import what they work with when they run, so that
`gr2 --help` is quick.
"""
