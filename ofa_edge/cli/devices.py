"""`ofa-edge devices add|list|probe` and `ofa-edge doctor`."""

import click

from ofa_edge.cli.console import next_step, outcome, print_json, table
from ofa_edge.cli.options import json_option


@click.group("devices")
def devices_group() -> None:
    """Devices to run on: this machine, emulated ones, and those in your devices file."""


@devices_group.command("list")
def list_command() -> None:
    """List devices; the last column is the flag to paste."""
    from ofa_edge.device.registry.devices_file import BUILTIN, devices_path, load_devices

    rows = [["device", "kind", ""]]
    rows += [[name, what, f"--device {name}"] for name, what in BUILTIN.items()]
    for name, device in load_devices().items():
        rows.append([name, f"{device.kind} {device.where}".strip(), f"--device {name}"])
    click.echo(table(rows))
    click.echo(f"\nyour own: {devices_path()}")


@devices_group.command("add")
@click.argument("name")
@click.option("--kind", required=True, help="ssh, adb, or one that an installed package brings.")
@click.option("--host", help="ssh: where it is. adb: an address for 'adb connect'.")
@click.option("--port", type=click.IntRange(1, 65535), help="The host's port.")
@click.option("--user", help="ssh: who logs in there.")
@click.option("--identity-file", help="ssh: the private key.")
@click.option("--known-hosts-file", help="ssh: the known_hosts file.")
@click.option("--serial", help="adb: as 'adb devices' lists it. ssh: the serial number that it must report.")
@click.option("--build", help="adb: the build fingerprint that it must have.")
@click.option("--server-port", type=click.IntRange(1, 65535), help="adb: port of a server other than the usual one.")
@click.option("--python", help="A Python on the device that has ai-edge-litert.")
@click.option("--folder", help="Where private folders are made on the device.")
@click.option(
    "--option", "further", multiple=True, metavar="KEY=VALUE", help="A key for a kind that another package brings."
)
def add_command(name: str, kind: str, further: tuple[str, ...], **options: str | int | None) -> None:
    """Add a device to your devices file; the rest of the file stays as it is."""
    from ofa_edge.device.registry.devices_edit import add_device, parse_option

    given = {key: value for key, value in options.items() if value is not None}
    path = add_device(name, kind, given | dict(parse_option(text) for text in further))
    click.echo(f"added to {path}")
    click.echo(next_step("devices", "probe", name))


@devices_group.command("probe")
@click.argument("name")
@click.option("--target", default="raspberry-pi-4", show_default=True, help="Whose core an emulated device takes.")
@json_option()
def probe_command(name: str, target: str, as_json: bool) -> None:
    """Connect to a device and print what it says about itself."""
    from ofa_edge.device.registry.devices_file import open_connection
    from ofa_edge.errors import UnknownNameError
    from ofa_edge.targets import load_target

    connection = open_connection(name, load_target(target))
    if connection is None:
        raise UnknownNameError.of("device", name, ["local", "emulated"], "ofa-edge devices list")
    try:
        facts = connection.fingerprint().to_json()
    finally:
        connection.close()
    if as_json:
        print_json(facts)
    else:
        click.echo(table([[key, str(value)] for key, value in facts.items() if value is not None]))


@click.command("doctor")
def doctor_command() -> int:
    """Check what this machine has, and say how to get what it lacks."""
    from ofa_edge.device.doctor import doctor_checks

    checks = doctor_checks()
    rows = [[outcome("pass" if check.ok else "fail"), check.name, check.detail] for check in checks]
    click.echo(table(rows))
    missing = [check for check in checks if not check.ok and check.fix]
    for check in missing:
        click.echo(f"  {check.name}: {check.fix}")
    return 1 if missing else 0
