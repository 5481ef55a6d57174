from types import SimpleNamespace

import pytest
from fleets import FLEET, FakeBench, hardware, write_build, write_fleet

from ofa_edge.errors import (
    ConfigError,
    DeviceBusyError,
    DeviceLostError,
    DeviceRunError,
    DeviceTimeoutError,
    ImplausibleError,
    UnknownNameError,
)
from ofa_edge.workflows.nightly import device_night
from ofa_edge.workflows.nightly.history import read_history
from ofa_edge.workflows.nightly.run import accept, run_fleet


@pytest.fixture
def fleet(tmp_path):
    write_build(tmp_path / "out")
    fleet = write_fleet(tmp_path, "one")
    accept(fleet, "net")
    write_build(tmp_path / "out", b"candidate")
    return fleet


def by_gate(night, device="one"):
    return {item.gate: item for item in night.series if item.device == device}


def night_of(fleet, **bench):
    return run_fleet(fleet, hardware=hardware({"one": FakeBench(**bench)}))


def test_a_quiet_night_is_green_and_in_the_history(fleet):
    night = night_of(fleet)
    assert night.colour == "GREEN"
    assert set(by_gate(night)) == {"accuracy", "size", "undelegated operators", "operators", "latency"}
    assert read_history(fleet.history).nights == (night,)


def test_where_the_device_stood_is_in_the_history(fleet):
    """What is recorded holds also for a night that failed."""
    for fails in ({}, {"run": DeviceLostError("no connection", "cut off", "again")}):
        (device,) = night_of(fleet, fails=fails).devices
        assert device.conditions == {"clock ceiling": "1.20 GHz of 1.80 GHz", "not read": "load"}


def test_a_slower_candidate_is_red_after_a_pause_and_a_second_run(fleet):
    sleeps = []
    night = run_fleet(fleet, hardware=hardware({"one": FakeBench(slower=1.15)}, sleeps))
    found = by_gate(night)["latency"]
    assert (night.colour, found.colour, found.code) == ("RED", "RED", "regression")
    assert len(found.runs) == 2
    assert sleeps == [60.0]
    assert found.candidate / found.golden == pytest.approx(1.15, abs=0.02)


def test_a_worse_candidate_is_red_with_its_images(fleet):
    found = by_gate(night_of(fleet, wrong=12))["accuracy"]
    assert (found.colour, found.flipped) == ("RED", 12)
    assert [flip.image for flip in found.flips] == list(range(12))


def test_an_emulated_device_counts_and_gives_no_times(fleet):
    night = night_of(fleet, instructions=(1_000_000, 1_020_000))
    found = by_gate(night)
    assert not {"latency", "modelled cycles"} & set(found)
    assert (found["instructions"].colour, night.devices[0].kind) == ("RED", "emulated")


def test_modelled_cycles_stand_beside_the_count(fleet):
    found = by_gate(night_of(fleet, instructions=(1_000_000, 1_000_000), cycles=(2_000_000, 2_200_000)))
    assert found["instructions"].colour == "GREEN"
    cycles = found["modelled cycles"]
    assert (cycles.colour, cycles.unit, cycles.candidate) == ("YELLOW", "cycles", 2_200_000)


def test_the_same_file_is_not_asked_twice(fleet, tmp_path):
    write_build(tmp_path / "out")
    bench = FakeBench()
    run_fleet(fleet, hardware=hardware({"one": bench}))
    assert bench.calls == ["answer golden", "run"]


def test_one_failing_device_among_three_stops_nobody(fleet, tmp_path):
    fleet = write_fleet(tmp_path, "one", "two", "three")
    lost = DeviceLostError("the connection broke", "ssh pi.secret.example: gone", "try")
    night = run_fleet(fleet, hardware=hardware({"one": FakeBench(), "two": lost, "three": FakeBench(slower=1.2)}))
    assert [device.error is None for device in night.devices] == [True, False, True]
    two = by_gate(night, "two")["run"]
    assert (two.colour, two.code) == ("INCONCLUSIVE", "device-lost")
    assert by_gate(night, "one")["latency"].colour == "GREEN"
    assert by_gate(night, "three")["latency"].colour == "RED"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeviceBusyError("busy", "it is hot", "wait", reason="too-hot"), "too-hot"),
        (ZeroDivisionError("a fault of ours"), "internal-error"),
    ],
)
def test_what_was_proved_before_a_failure_stays(fleet, error, code):
    night = night_of(fleet, fails={"run": error}, wrong=12)
    found = by_gate(night)
    assert found["accuracy"].colour == "RED"
    assert (found["run"].colour, found["run"].code) == ("INCONCLUSIVE", code)


def test_a_candidate_that_does_not_run_where_the_golden_does_is_red(fleet):
    night = night_of(fleet, fails={"answer candidate": DeviceRunError("crashed", "signal 11", "?")})
    assert (by_gate(night)["run"].colour, by_gate(night)["run"].code) == ("RED", "candidate-does-not-run")
    night = night_of(fleet, fails={"answer golden": DeviceRunError("crashed", "signal 11", "?")})
    assert by_gate(night)["run"].colour == "INCONCLUSIVE"


HANGS = DeviceTimeoutError("the program ran past its time limit", "900 s", "?")


@pytest.mark.parametrize(("call", "gate"), [("answer candidate", "run"), ("answer golden", "run"), ("run", "latency")])
def test_an_artifact_that_hangs_costs_no_other_its_night(tmp_path, call, gate):
    class OneHangs(FakeBench):
        def answer(self, duel, golden):
            self.fails = {call: HANGS} if duel == "net" else {}
            return super().answer(duel, golden)

        def run(self, duel, protocol, deadline):
            self.fails = {call: HANGS} if duel == "net" else {}
            return super().run(duel, protocol, deadline)

    for name in ("out", "other"):
        write_build(tmp_path / name)
    fleet = write_fleet(
        tmp_path, "one", text=FLEET + '[artifacts.other]\nbuild = "other"\n', artifacts=("net", "other")
    )
    for name in ("net", "other"):
        accept(fleet, name)
    for name in ("out", "other"):
        write_build(tmp_path / name, b"candidate")
    night = run_fleet(fleet, hardware=hardware({"one": OneHangs()}))
    mine = {item.gate: item for item in night.series if item.artifact == "net"}
    assert (mine[gate].colour, mine[gate].code) == ("INCONCLUSIVE", "device-timeout")
    assert [device.error for device in night.devices] == [None]
    other = {item.gate: item.colour for item in night.series if item.artifact == "other"}
    assert (other["latency"], other["accuracy"]) == ("GREEN", "GREEN")


def test_an_implausible_latency_is_inconclusive_for_that_artifact(fleet):
    night = night_of(fleet, fails={"run": ImplausibleError("faster than it can be", "0.001 ms", "?")})
    assert (by_gate(night)["latency"].colour, by_gate(night)["latency"].code) == ("INCONCLUSIVE", "implausible")
    assert by_gate(night)["accuracy"].colour == "GREEN"


def test_without_a_baseline_nothing_is_proved(tmp_path):
    write_build(tmp_path / "out")
    night = run_fleet(write_fleet(tmp_path, "one"), hardware=hardware({}))
    assert (night.colour, night.series[0].code) == ("INCONCLUSIVE", "no-baseline")
    assert "baseline accept net" in night.series[0].reason


def test_a_damaged_history_stops_the_judgement_that_stands_on_it(fleet):
    night_of(fleet, slower=1.5)
    lines = fleet.history.read_bytes().splitlines(keepends=True)
    fleet.history.write_bytes(lines[0] + b'{"artifact":"net","at":"2026\n' + lines[1])
    night = night_of(fleet)
    assert (night.colour, night.series[0].code) == ("INCONCLUSIVE", "history-damaged")
    assert "history.jsonl:2" in night.series[0].reason
    accept(fleet, "net")
    assert night_of(fleet).colour == "GREEN"


def test_without_a_candidate_nothing_is_proved(fleet, tmp_path):
    (tmp_path / "out" / "manifest.json").unlink()
    assert run_fleet(fleet, hardware=hardware({})).series[0].code == "no-candidate"


def test_a_deadline_that_is_over_starts_no_run(fleet, tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text(path.read_text() + "deadline_minutes = 1e-9\n")
    from ofa_edge.workflows.nightly.fleet import load_fleet

    bench = FakeBench(slower=1.5)
    night = run_fleet(load_fleet(path), hardware=hardware({"one": bench}))
    assert bench.calls == []
    assert (by_gate(night)["run"].colour, by_gate(night)["run"].code) == ("INCONCLUSIVE", "deadline-over")


def test_a_deadline_that_ends_during_the_answers_starts_no_session(fleet, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(device_night, "time", SimpleNamespace(monotonic=lambda: clock.now))

    class Slow(FakeBench):
        def answer(self, duel, golden):
            clock.now = 1e12
            return super().answer(duel, golden)

    bench = Slow(slower=1.5)
    found = by_gate(run_fleet(fleet, hardware=hardware({"one": bench})))
    assert "run" not in bench.calls
    assert (found["accuracy"].colour, found["latency"].colour) == ("GREEN", "INCONCLUSIVE")


def test_what_a_device_says_is_one_line(fleet):
    steers = DeviceLostError("lost", "gone\n::stop-commands::x\x1b[2J", "?")
    night = run_fleet(fleet, hardware=hardware({"one": steers}))
    assert (night.devices[0].error, by_gate(night)["run"].reason) == 2 * ("lost: gone ::stop-commands::x [2J",)


def test_addresses_and_serials_are_not_published(fleet):
    lost = DeviceLostError("no way to pi.secret.example", "ssh", "try")
    run_fleet(fleet, hardware=hardware({"one": lost}))
    run_fleet(fleet, hardware=hardware({"one": FakeBench()}))
    crashed = DeviceRunError("it failed", "no file on pi.secret.example", "?")
    run_fleet(fleet, hardware=hardware({"one": FakeBench(fails={"answer candidate": crashed})}))
    text = fleet.history.read_text()
    assert "pi.secret.example" not in text
    assert "SECRET99" not in text
    assert "device-" in text


def test_only_accept_moves_the_baseline(fleet, tmp_path):
    before = read_history(fleet.history).golden("net")
    night_of(fleet)
    assert read_history(fleet.history).golden("net") == before
    accept(fleet, "net", "faster")
    after = read_history(fleet.history).golden("net")
    assert (after.sha256 != before.sha256, after.note) == (True, "faster")
    with pytest.raises(UnknownNameError):
        accept(fleet, "nest")


def test_the_golden_is_pinned_by_digest(fleet):
    golden = read_history(fleet.history).golden("net")
    kept = fleet.store / golden.sha256 / "model.tflite"
    kept.write_bytes(kept.read_bytes() + b"x")
    found = run_fleet(fleet, hardware=hardware({})).series[0]
    assert (found.colour, found.code) == ("INCONCLUSIVE", "no-candidate")
    assert "was changed" in found.reason


def test_a_new_fingerprint_begins_an_epoch(fleet):
    night_of(fleet)
    facts = {"cpu": "cortex-a72", "kernel": "new"}
    first, second = night_of(fleet, slower=1.3, facts=facts), night_of(fleet, slower=1.3, facts=facts)
    assert by_gate(first)["latency"].code == "fingerprint-changed"
    assert by_gate(second)["latency"].colour == "RED"


def test_a_restart_is_no_new_device(fleet):
    night_of(fleet)
    facts = {**FakeBench().facts, "boot_id": "2"}
    assert by_gate(night_of(fleet, facts=facts))["latency"].colour == "GREEN"


def test_an_unknown_device_is_refused_before_anything_runs(tmp_path):
    write_build(tmp_path / "out")
    fleet = write_fleet(
        tmp_path, text='schema = 1\n[artifacts.net]\nbuild = "out"\n[devices.pi]\nartifacts = ["net"]\n'
    )
    with pytest.raises(ConfigError, match="no device 'pi'"):
        run_fleet(fleet)
    assert not fleet.history.exists()
