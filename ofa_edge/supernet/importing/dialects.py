"""The spellings of a key. Published files differ in two ways from the layout that this package writes.

Old files call the convolutions of a block `mobile_inverted_conv` (now `conv`), and a layer stands one level deeper
where it was elastic in training: `conv.conv.weight`, `bn.bn.*`, `linear.linear.*` (the loaders of the reference
package, elastic_nn/networks, accept all of these). Each wanted key lists the spellings that mean it, and nothing else
is accepted: no search, no patterns.
"""

from collections.abc import Iterable

OLD_BLOCK = "mobile_inverted_conv"
PARALLEL = "module."  # what torch.nn.DataParallel and DistributedDataParallel put before every key
_LEVELS = ("conv", "bn", "linear")


def spellings(key: str) -> dict[str, tuple[str, ...]]:
    """All spellings of a key -> what sets each apart from it, nothing for the key itself.

    Example:
        >>> sorted(spellings("blocks.0.conv.point_linear.bn.bias"))[0]
        'blocks.0.conv.point_linear.bn.bias'
    """
    found: dict[str, tuple[str, ...]] = {}
    for spelled, level in _levels(key):
        found.setdefault(spelled, level)
        parts = spelled.split(".")
        if len(parts) > 3 and parts[0] == "blocks" and parts[1].isdecimal() and parts[2] == "conv":
            found.setdefault(".".join([*parts[:2], OLD_BLOCK, *parts[3:]]), (*level, OLD_BLOCK))
    return found


def _levels(key: str) -> list[tuple[str, tuple[str, ...]]]:
    """The key itself; one level flatter, where it is nested; and one level deeper."""
    result: list[tuple[str, tuple[str, ...]]] = [(key, ())]
    head, _, leaf = key.rpartition(".")
    layer = head.rpartition(".")[2]
    if layer not in _LEVELS or (layer == "conv" and leaf != "weight"):
        return result
    if head.endswith(f".{layer}.{layer}"):
        result.append((f"{head.removesuffix(f'.{layer}')}.{leaf}", ("flat layers",)))
    result.append((f"{head}.{layer}.{leaf}", ("nested layers",)))
    return result


def without_parallel(keys: Iterable[str]) -> dict[str, str]:
    """Each key -> the key without `module.`, where every key has it; unchanged otherwise."""
    keys = list(keys)
    parallel = bool(keys) and all(key.startswith(PARALLEL) for key in keys)
    return {key: key.removeprefix(PARALLEL) if parallel else key for key in keys}
