"""Several processes as one job."""

import os

from gr2_jax.errors import UserError

_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_PATIENCE = 60  # seconds, for the others to come


def join_processes() -> bool:
    """Joins the processes that the environment names (host:port of the first, their number, this one's place), before
    JAX is used; without such variables this process is alone. Returns whether it is the first.

    Raises:
        UserError: Some of the variables are missing or no numbers, or the others do not come within a minute.
    """
    import jax

    given = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    if not given:
        return True
    if missing := [name for name in _VARIABLES if name not in given]:
        raise UserError(
            f"{next(iter(given))} is set and {missing[0]} is not: several processes need {', '.join(_VARIABLES)}"
        )
    address, count, place = given.values()
    try:
        jax.distributed.initialize(address, int(count), int(place), initialization_timeout=_PATIENCE)
    except ValueError as error:
        raise UserError(f"{', '.join(f'{name}={value}' for name, value in given.items())}: {error}") from error
    except RuntimeError as error:
        raise UserError(
            f"process {place} of {count} could not join {address}: {' '.join(str(error).split())}"
        ) from error
    return jax.process_index() == 0
