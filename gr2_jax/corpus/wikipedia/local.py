"""Beam on this machine only: no program is downloaded, and the worker processes print nothing."""

import sys

from gr2_jax.corpus.wikipedia.quiet import quiet_import

with quiet_import():
    from apache_beam.portability import python_urns
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

_COMMAND = f'"{sys.executable}" -m gr2_jax.corpus.wikipedia.worker'


class LocalRunner(FnApiRunner):
    """Beam's FnApiRunner with worker processes that run `worker.py`."""

    def run_via_runner_api(self, pipeline_proto, options):
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = _COMMAND.encode()
        return super().run_via_runner_api(pipeline_proto, options)
