"""Which model a runner ran: the SHA-256 that it computed of the file it had loaded, against the one that was sent."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ofa_edge.device.protocol import Connection
from ofa_edge.errors import OtherModelError
from ofa_edge.files import sha256_file

MODEL_DIGEST = "model_sha256"  # the field of `runners/runner_passes.py`
_ASK_S = 300.0


def require_model(connection: Connection, said: object, wanted: str) -> None:
    """Raise OtherModelError unless a runner on that device ran the model of digest `wanted`."""
    if said != wanted:
        raise OtherModelError(
            f"{connection.name} ran another model",
            f"the SHA-256 of what it loaded is {said!r:.80}, of what was sent {wanted}",
            "run the same command again; is somebody else at work on the device?",
        )


def require_files(connection: Connection, work: PurePosixPath, sent: Mapping[str, Path]) -> None:
    """For a runner that cannot say what it ran: ask the device whether the files are still those that were sent.

    Args:
        connection: to the device.
        work: the folder there.
        sent: file here by its name there.

    Raises:
        OtherModelError: one is another.
        DeviceError: the device was lost.
    """
    said = connection.run(["sha256sum", *(str(work / name) for name in sent)], _ASK_S).stdout.splitlines()
    there = [line.lstrip("\\").partition(" ")[0] for line in said]
    for number, path in enumerate(sent.values()):
        require_model(connection, there[number] if number < len(there) else None, sha256_file(path))
