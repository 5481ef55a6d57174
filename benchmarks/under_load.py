"""What an evaluation takes beside other work, with OpenMP's threads waiting passively and actively.

    python benchmarks/under_load.py [--busy 4] [--rounds 3]

Evaluates the embedded supernet's largest subnet (500 images of calibration, 2,000 of the test set) in a process of its
own, alone and beside busy processes, both policies in turn; prints the medians and how many times the time grows. In
proportion to the load means: with P threads of ours and B busy processes on C cores, up to (P + B) / C times.
"""

import argparse
import os
import statistics
import subprocess
import sys

_WORK = """
import time
import ofa_edge
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import measure_top1
package = zoo.open_supernet("fashion-mnist")
net, subnet = package.load(), package.space.largest(28)
images = [package.images(name) for name in ("calibration", "test")]
measure_top1(net, subnet, *(part.sample(50) for part in images), package.preprocessing(28))
start = time.perf_counter()
measure_top1(net, subnet, *images, package.preprocessing(28))
print(time.perf_counter() - start)
"""


def seconds(policy: str) -> float:
    """Wall time of one evaluation under an OpenMP wait policy."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    found = subprocess.run([sys.executable, "-c", _WORK], env=environment, capture_output=True, text=True, check=True)
    return float(found.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--busy", type=int, default=4, help="processes that do nothing but work")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    medians: dict[tuple[str, int], float] = {}
    for busy in (0, options.busy):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            rounds = [{policy: seconds(policy) for policy in ("PASSIVE", "ACTIVE")} for _ in range(options.rounds)]
        finally:
            for other in others:
                other.kill()
        medians |= {(policy, busy): statistics.median(each[policy] for each in rounds) for policy in rounds[0]}
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}, medians of {options.rounds}")
    print(f"{'policy':8} {'alone':>8} {f'beside {options.busy}':>10} {'times':>6}")
    for policy in ("PASSIVE", "ACTIVE"):
        alone, beside = medians[policy, 0], medians[policy, options.busy]
        print(f"{policy:8} {alone:6.2f} s {beside:8.2f} s {beside / alone:6.1f}")


if __name__ == "__main__":
    main()
