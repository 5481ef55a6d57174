"""Every genome that a search has evaluated, each once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ofa_edge.space import Genomes, Space

Floats = NDArray[np.float64]
Score = Callable[[Genomes], Floats]


class Archive:
    """Genomes with their latency and accuracy, in the order of evaluation.

    Args:
        space: the search space.
        latency: maps genomes [N, genome_length] to milliseconds [N].
        accuracy: maps genomes to predicted accuracy [N]; called once for each distinct genome.
        capacity: how many genomes to evaluate at most.
    """

    def __init__(self, space: Space, latency: Score, accuracy: Score, capacity: int) -> None:
        self._latency_of, self._accuracy_of = latency, accuracy
        self._index: dict[bytes, int] = {}
        self._count = 0  # rows that are whole: an interruption may leave more keys in the index
        self._genomes = np.empty((capacity, space.genome_length), dtype=np.int8)
        self._latency, self._accuracy = np.empty(capacity), np.empty(capacity)
        self._ranked = np.empty(0, dtype=np.intp)  # as `ranked` last answered

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether nothing more may be evaluated."""
        return len(self) == len(self._genomes)

    @property
    def genomes(self) -> Genomes:
        """All genomes so far: [len, genome_length]."""
        return self._genomes[: len(self)]

    @property
    def latency(self) -> Floats:
        """Their latencies: [len]."""
        return self._latency[: len(self)]

    @property
    def accuracy(self) -> Floats:
        """Their accuracies: [len]."""
        return self._accuracy[: len(self)]

    def evaluate(self, genomes: Genomes) -> NDArray[np.intp]:
        """Indices of canonical `genomes` in the archive; new ones are evaluated, and left out where it is full."""
        rows: list[int] = []
        start, found = len(self), []
        for row, genome in enumerate(genomes):
            key = genome.tobytes()
            if key not in self._index:
                if start + len(rows) == len(self._genomes):
                    continue
                self._index[key] = start + len(rows)
                rows.append(row)
            found.append(self._index[key])
        if rows:
            new, stop = genomes[rows], start + len(rows)
            self._genomes[start:stop] = new
            self._latency[start:stop] = self._checked("latency", self._latency_of(new), len(new))
            self._accuracy[start:stop] = self._checked("accuracy", self._accuracy_of(new), len(new))
            self._count = stop
        return np.array(found, dtype=np.intp)

    @staticmethod
    def _checked(name: str, values: Floats, count: int) -> Floats:
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise ValueError(f"{name} of {count} genomes must be {count} finite numbers, got shape {values.shape}")
        return values

    def ranked(self) -> NDArray[np.intp]:
        """All indices, the most accurate first, of equals the fastest first."""
        ranked, new = self._ranked, np.arange(len(self._ranked), len(self))
        if len(new):
            # Mostly in order, which a stable sort makes use of.
            both = np.concatenate([ranked, new])
            ranked = both[np.argsort(-self.accuracy[both], kind="stable")]
            same = np.concatenate([[False], np.diff(self.accuracy[ranked]) == 0, [False]])
            tied = same[:-1] | same[1:]  # with the one before, or the one behind
            equals = ranked[tied]
            ranked[tied] = equals[np.lexsort((equals, self.latency[equals], -self.accuracy[equals]))]
            self._ranked = ranked
        return ranked
