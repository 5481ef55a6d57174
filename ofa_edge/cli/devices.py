"""`ofa-edge devices add|list|probe` and `ofa-edge doctor`."""

from dataclasses import asdict

import click

from ofa_edge.cli.answer import Answer, command, group
from ofa_edge.cli.completion import DEVICE, TARGET
from ofa_edge.cli.console import next_step, outcome, table


@group("devices")
def devices_group() -> None:
    """Devices to run on: this machine, emulated ones, and those in your devices file."""


@devices_group.command("list")
def list_command() -> Answer:
    """List devices; the last column is the flag to paste."""
    from ofa_edge.device.registry.devices_file import BUILTIN, devices_path, load_devices

    own = {name: f"{device.kind} {device.where}".strip() for name, device in load_devices().items()}
    rows = [[name, what, f"--device {name}"] for name, what in {**BUILTIN, **own}.items()]
    facts = {"built_in": dict(BUILTIN), "own": own, "file": str(devices_path())}
    return Answer(facts, f"{table([['device', 'kind', ''], *rows])}\n\nyour own: {devices_path()}")


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
def add_command(name: str, kind: str, further: tuple[str, ...], **options: str | int | None) -> Answer:
    """Add a device to your devices file; the rest of the file stays as it is."""
    from ofa_edge.device.registry.devices_edit import add_device, parse_option

    given = {key: value for key, value in options.items() if value is not None}
    path = add_device(name, kind, given | dict(parse_option(text) for text in further))
    return Answer({"device": name, "file": str(path)}, f"added to {path}\n{next_step('devices', 'probe', name)}")


@devices_group.command("probe")
@click.argument("name", type=DEVICE)
@click.option(
    "--target",
    type=TARGET,
    default="raspberry-pi-4",
    show_default=True,
    help="Whose core an emulated device takes.",
)
def probe_command(name: str, target: str) -> Answer:
    """Connect to a device; print what it says about itself, what its system has, and what runtimes would lack there."""
    from ofa_edge.workflows.probe import probe

    found = probe(name, target)
    has, python = found.has, found.has.python
    rows = [[key, str(value)] for key, value in found.fingerprint.to_json().items() if value is not None]
    rows += [
        ["programs", has.programs or "not told"],
        ["C library", has.libc or "not told"],
        ["page size", "not told" if has.page is None else f"{has.page} bytes"],
        ["free", "not told" if has.free is None else f"{has.free >> 20} MiB"],
        [
            "python",
            f"none: {has.no_python}" if python is None else f"{'.'.join(map(str, python.version))}, {python.machine}",
        ],
    ]
    modules = {} if python is None else {**python.versions, **python.missing}
    rows += [[module, said or "there, no version told"] for module, said in modules.items()]
    rows += [[name, words] for name, words in found.stands.items()]
    lines = [table(rows), ""]
    for runtime, lacks in found.lacks.items():
        lines.append(f"{runtime}: {'lacks nothing that it needs' if not lacks else ''}".rstrip())
        lines += [f"  {each.what}: {each.why}\n    try: {each.fix}" for each in lacks]
    lines += [f"cannot be measured now: {each.words}\n    try: {each.hint}" for each in found.faults]
    return Answer(found.to_json(), "\n".join(lines))


@command("doctor")
def doctor_command() -> Answer:
    """Check what this machine has, and say how to get what it lacks."""
    from ofa_edge.device.doctor import doctor_checks

    checks = doctor_checks()
    rows = [[outcome("pass" if check.ok else "fail"), check.name, check.detail] for check in checks]
    missing = [check for check in checks if not check.ok and check.fix]
    text = "\n".join([table(rows), *(f"  {check.name}: {check.fix}" for check in missing)])
    return Answer({"checks": [asdict(check) for check in checks]}, text, 1 if missing else 0)
