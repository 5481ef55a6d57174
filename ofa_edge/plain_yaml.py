"""YAML as data files need it: mappings, lists and plain values.

The rest of YAML lets a few hundred bytes stand for gigabytes (aliases of aliases), a value be of another type than it
looks like (tags), and a key come from somewhere else (merges). A table of numbers has none of it, so none is read.
"""

from typing import Any

import yaml

_DEEPEST = 16
MOST_VALUES = 500_000
_LONGEST_SCALAR = 1000  # characters; a number in base 60 takes quadratic time


def read_plain_yaml(text: str, most: int = MOST_VALUES) -> Any:
    """The content of one YAML document of at most `most` values, keys among them.

    Raises:
        yaml.YAMLError: no YAML, or more of it than the above: names what, and where.
        ValueError: a number or date that is none.
    """
    loader = _PlainLoader(text, most)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    def __init__(self, stream: str, most: int) -> None:
        super().__init__(stream)
        self._most = most
        self._depth = self._nodes = 0

    # PyYAML looks at every open level for each token, long before a node is composed: depth is refused while scanning.

    def fetch_flow_collection_start(self, token: Any) -> None:
        self._require_shallow(self.flow_level)
        super().fetch_flow_collection_start(token)

    def add_indent(self, column: int) -> bool:
        self._require_shallow(len(self.indents))
        return bool(super().add_indent(column))

    def _require_shallow(self, depth: int) -> None:
        if depth > _DEEPEST:
            what = f"a nesting of more than {_DEEPEST} is not supported"
            raise yaml.scanner.ScannerError(None, None, what, self.get_mark())

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        self._nodes += 1
        self._depth += 1
        refused = {
            "an alias": isinstance(event, yaml.AliasEvent),
            "an anchor": getattr(event, "anchor", None) is not None,
            "a tag": getattr(event, "tag", None) is not None,
            "a merge of mappings": isinstance(event, yaml.ScalarEvent) and event.value == "<<",
            f"a value of more than {_LONGEST_SCALAR} characters": len(getattr(event, "value", "")) > _LONGEST_SCALAR,
            f"a nesting of more than {_DEEPEST}": self._depth > _DEEPEST,
            f"more than {self._most} values": self._nodes > self._most,
        }
        for what, found in refused.items():
            if found:
                raise yaml.composer.ComposerError(None, None, f"{what} is not supported", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """A mapping; a key that is named twice is refused."""
        seen = set()
        for key, _ in node.value:
            found = (key.tag, str(key.value))
            if found in seen:
                what = f"the key '{key.value}' is named twice"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
            seen.add(found)
        return super().construct_mapping(node, deep)
