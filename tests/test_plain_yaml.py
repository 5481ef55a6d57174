import pytest
import yaml

from ofa_edge.plain_yaml import MOST_VALUES, read_plain_yaml


def test_many_values_are_not_read() -> None:
    text = "\n".join(f"k{number}: 1" for number in range(60))
    assert len(read_plain_yaml(text)) == 60 < MOST_VALUES
    with pytest.raises(yaml.YAMLError, match="more than 100 values"):
        read_plain_yaml(text, most=100)
