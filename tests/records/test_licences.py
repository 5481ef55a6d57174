import json

import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.records.licences import LICENCES, Licences, handed_on, read_licences, said_licences
from ofa_edge.supernet.zoo import DEFAULT, open_supernet

DAMAGED = ["{", "[]", json.dumps({"weights": ""}), json.dumps({"code": "MIT"}), json.dumps({"data": 3})]


def test_what_ships_says_its_own():
    found = open_supernet(DEFAULT).licences
    assert found.weights == "Apache-2.0"
    assert "MIT" in found.data
    assert "Fashion-MNIST" in found.data


def test_nothing_said_is_no_permission(tmp_path):
    assert read_licences(tmp_path / LICENCES) == Licences(weights="not stated", data="not stated")
    assert said_licences({"author": "me"}).weights == "not stated"
    assert said_licences({"license": "BSD-3-Clause"}).weights == "BSD-3-Clause"
    assert said_licences({"license": " "}).weights == "not stated"


def test_what_was_trained_further_names_where_it_began():
    assert handed_on(Licences(weights="MIT", data="mine"), "big") == Licences(weights="made from 'big': MIT")
    assert handed_on(Licences(), "big") == Licences()


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / LICENCES).write_text(text)
    with pytest.raises(ConfigError, match="licences"):
        read_licences(tmp_path / LICENCES)
