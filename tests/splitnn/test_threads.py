"""torch's own settings are as they were, whoever was at work."""

import threading

import numpy as np
import pytest
import torch

from secureboost.splitnn.randomness import seeded
from secureboost.splitnn.tensors import from_array, is_finite
from secureboost.splitnn.threads import torch_threads


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_are_put_back_also_after_an_error_and_inside_each_other():
    with torch_threads(1):
        assert torch.get_num_threads() == 1
        with pytest.raises(RuntimeError, match="inner"):
            fail_with(3)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def fail_with(n_threads):
    with torch_threads(n_threads):
        assert torch.get_num_threads() == n_threads
        raise RuntimeError("inner")


def test_threads_that_overlap_leave_nothing_behind():
    """The one that entered second ends last."""
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def work():
        with torch_threads(1):
            seen.append(torch.get_num_threads())
            inside.set()
            leave.wait(20)
        seen.append(torch.get_num_threads())

    with torch_threads(1):
        thread = threading.Thread(target=work)
        thread.start()
        assert inside.wait(20)
    assert torch.get_num_threads() == 2
    leave.set()
    thread.join()
    assert seen == [1, 2]
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]


def test_the_global_generator_is_put_back():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1, 2):
        first = torch.nn.Linear(3, 3).weight
    assert torch.equal(torch.rand(3), expected)
    with seeded(1, 2):
        assert torch.equal(torch.nn.Linear(3, 3).weight, first)
    with seeded(1, 3):
        assert not torch.equal(torch.nn.Linear(3, 3).weight, first)


def test_tensors_are_copies_in_torchs_own_memory():
    frame = np.frombuffer(bytes(8) + np.arange(6, dtype=">f8").tobytes(), np.uint8)[8:]
    array = frame.view(">f8").reshape(2, 3)
    tensor = from_array(array, np.float32)
    assert tensor.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert tensor.dtype == torch.float32
    assert tensor.data_ptr() % 64 == 0
    assert from_array(np.zeros((0, 4)), np.float64).shape == (0, 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found(value):
    values = torch.zeros(100, dtype=torch.float64)
    assert is_finite(values)
    assert is_finite(torch.zeros(0))
    values[77] = value
    assert not is_finite(values)
