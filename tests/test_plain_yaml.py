import pytest
import yaml

from ofa_edge.plain_yaml import MOST_VALUES, read_plain_yaml


def test_many_values_are_not_read() -> None:
    text = "\n".join(f"k{number}: 1" for number in range(60))
    assert len(read_plain_yaml(text)) == 60 < MOST_VALUES
    with pytest.raises(yaml.YAMLError, match="more than 100 values"):
        read_plain_yaml(text, most=100)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{", "- - "])
def test_depth_is_refused_before_its_levels_are_looked_at_for_each_token(opening):
    with pytest.raises(yaml.YAMLError, match="nesting of more than 16"):
        read_plain_yaml(opening * 200_000)


@pytest.mark.parametrize("text", ["[" * 10 + "1" + "]" * 10, "- " * 10 + "1", "a:\n  b:\n    c: [{d: 1}]"])
def test_what_is_not_deep_is_read(text):
    assert read_plain_yaml(text)
