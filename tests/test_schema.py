"""Schemas: what does not fit is told in words, and copies are checked as the originals were."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from ofa_edge.errors import ConfigError
from ofa_edge.schema import Strict, changed, known_keys, validated


class Phase(Strict):
    epochs: float
    kernels: tuple[int, ...] = ()


class Device(Strict):
    port: Annotated[int, Field(ge=1)] = 22


@dataclass(frozen=True)
class Place:
    room: str = ""
    height: Annotated[float, Field(ge=0)] = 0.0


class File(Strict):
    schema_version: Literal[1] = Field(alias="schema")
    phases: tuple[Phase, ...] = ()
    devices: dict[str, Device] = Field(default_factory=dict)
    place: Place = Place()
    share: Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0, lt=1)] = 1


def fault(**values) -> str:
    with pytest.raises(ConfigError) as caught:
        validated(File, {"schema": 1, **values}, "x.toml", "folder/x.toml", "see the docs")
    assert caught.value.what == "x.toml does not fit its schema"
    assert caught.value.hint == "see the docs"
    where, _, said = caught.value.why.partition(": ")
    assert where == "folder/x.toml"
    return said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"devises": {}}, "unknown key 'devises'; nearest known key: 'devices'"),
        ({"phases": [{"epoch": 1.0}]}, "missing key 'phases.0.epochs'; unknown key 'phases.0.epoch'; nearest"),
        ({"phases": [{"epochs": 1, "kernel": 3}]}, "nearest known key: 'phases.0.kernels'"),
        ({"devices": {"pi": {"prt": 1}}}, "unknown key 'devices.pi.prt'; nearest known key: 'devices.pi.port'"),
        ({"place": {"rom": "x"}}, "unknown key 'place.rom'; nearest known key: 'place.room'"),
        ({"place": {"height": "1"}}, 'place.height = "1": Input should be a valid number'),
        ({"place": {"height": -1}}, "place.height = -1: "),
        ({"port": 1}, "unknown key 'port'; nearest known key: 'devices.port'"),
        ({"zzzzqqq": 1}, "unknown key 'zzzzqqq'"),
        ({"schema": 2}, "schema = 2: Input should be 1"),
        ({"devices": {"pi": {"port": 0}}}, "devices.pi.port = 0: Input should be greater than or equal to 1"),
        ({"devices": {"pi": {"port": "x" * 100}}}, f'devices.pi.port = "{"x" * 59}...: '),
        ({"phases": [{"epochs": float("inf")}]}, "phases.0.epochs = Infinity: Input should be a finite number"),
        ({"share": -1}, "share = -1: Input should be greater than 0"),
        ({"phases": [{}] * 9}, "'phases.4.epochs'; and 4 more"),
    ],
)
def test_faults_name_the_key_the_nearest_one_and_the_value(values, said):
    assert said in fault(**values)


def test_one_fault_is_told_once():
    assert fault(share=-1) == "share = -1: Input should be greater than 0"


def test_arrays_fill_tuples_and_nothing_else_is_converted():
    file = validated(File, {"schema": 1, "phases": [{"epochs": 1, "kernels": [3]}]}, "x", "x", "x")
    assert file.phases[0].kernels == (3,)
    assert "phases.0.kernels.0" in fault(phases=[{"epochs": 1, "kernels": ["3"]}])


def test_known_keys_are_those_of_all_tables():
    keys = list(known_keys(File))
    assert keys[:6] == ["schema", "phases", "phases.epochs", "phases.kernels", "devices", "devices.port"]
    assert keys[6:] == ["place", "place.room", "place.height", "share"]


def test_a_changed_copy_is_checked():
    file = validated(File, {"schema": 1}, "x", "x", "x")
    other = changed(file, phases=(Phase(epochs=1.0),))
    assert (other.phases[0].epochs, file.phases) == (1.0, ())
    with pytest.raises(ValidationError):
        changed(file, share=-1)
    with pytest.raises(ValidationError):
        changed(file, nothing=1)
