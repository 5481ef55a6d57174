"""A library holds the network as code and as instructions that can be watched: the same answers, the weights once."""

import numpy as np
from tvm_models import images

from ofa_edge.export.tvm.forms import MAIN, WATCHED
from ofa_edge.export.tvm.schedules.timing import time_functions


def test_both_answer_alike_and_one_tells_of_its_functions(library):
    import tvm
    from tvm import relax

    machine = relax.VirtualMachine(tvm.runtime.load_module(str(library.path)), tvm.cpu())
    image, seen = tvm.runtime.tensor(images(1)), []

    def watch(function, name, before, result, *arguments):
        seen.append(name)

    machine.set_instrument(watch)
    code = machine[MAIN](image).numpy().copy()
    assert seen == []
    instructions = machine[WATCHED](image).numpy()
    assert len([name for name in seen if not name.startswith("vm.")]) > 10
    np.testing.assert_array_equal(code, instructions)


def test_every_function_is_timed(net, library):
    times = time_functions(library.path, net)
    assert len(times) > 5
    assert all(seconds > 0 for seconds in times.values())


def test_weights_are_there_once(net, library):
    assert library.size < 1.5 * net.stat().st_size + 200_000
