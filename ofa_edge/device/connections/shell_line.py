"""One line for the shell of a device: ssh and adb hand what they carry to a shell there, so all of it is quoted."""

import math
import shlex
from collections.abc import Mapping, Sequence

from ofa_edge.device.protocol import Completed
from ofa_edge.errors import DeviceTimeoutError

TIMED_OUT = 124  # exit status of timeout(1)
KILL_AFTER_S = 5


def shell_line(argv: Sequence[str], env: Mapping[str, str], timeout_s: float) -> str:
    """The line that runs one program with these arguments and no other effect, under the device's own `timeout`.

    Killing our end of a connection does not stop the program at the other end; `timeout` does.

    >>> shell_line(["echo", "$HOME; ls"], {"KEY": "a b"}, 9.5)
    "timeout -k 5 10 env 'KEY=a b' echo '$HOME; ls'"
    """
    limit = ["timeout", "-k", str(KILL_AFTER_S), str(math.ceil(timeout_s))]
    variables = ["env", *(f"{key}={value}" for key, value in env.items())] if env else []
    return shlex.join([*limit, *variables, *argv])


def check_limit(device: str, completed: Completed) -> None:
    """Raise DeviceTimeoutError where `timeout` stopped the program."""
    if completed.returncode == TIMED_OUT:
        raise DeviceTimeoutError(
            f"{completed.argv[0]} on {device} ran past its time limit",
            f"stopped on the device after {completed.wall_s:.0f} s",
            "is the device busy? run the same command again",
        )
