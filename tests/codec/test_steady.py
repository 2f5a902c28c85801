"""The same bits in a file, in a piece of it, and beside others; the same formulas as torch's own."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from codec.seanet.lstm import ResidualLSTM
from codec.steady import SteadyConv1d, SteadyELU, UnfoldedConv1d


def cut(tensor, size, overlap=0):
    """Cut [..., N] into pieces of `size` and `overlap` that belongs to the next as well."""
    last = tensor.shape[-1] - overlap
    return [tensor[..., start : min(start + size, last) + overlap] for start in range(0, last, size)]


@pytest.mark.parametrize(("inputs", "outputs", "kernel", "dilation"), [(1, 32, 7, 1), (32, 16, 3, 9), (6, 5, 1, 1)])
def test_convolutions_in_pieces(inputs, outputs, kernel, dilation):
    convolution, reach = SteadyConv1d(inputs, outputs, kernel, dilation=dilation), (kernel - 1) * dilation

    @settings(max_examples=15)
    @given(st.integers(1, 400), st.integers(1, 3))
    @torch.inference_mode()
    def check(size, batch):
        hidden = torch.randn(batch, inputs, 1500)
        whole = convolution(hidden)
        assert torch.equal(torch.cat([convolution(piece) for piece in cut(hidden, size, reach)], -1), whole)
        assert torch.equal(convolution(hidden[-1:]), whole[-1:])
        torch.testing.assert_close(
            whole, functional.conv1d(hidden, convolution.weight, convolution.bias, dilation=dilation)
        )

    check()


@torch.inference_mode()
def test_padding_and_strides_are_those_of_torch():
    convolution = SteadyConv1d(3, 4, 10, stride=5, padding=3)
    hidden = torch.randn(2, 3, 45)
    expected = functional.conv1d(hidden, convolution.weight, convolution.bias, stride=5, padding=3)
    torch.testing.assert_close(convolution(hidden), expected)


@pytest.mark.parametrize(("inputs", "outputs", "kernel", "stride"), [(64, 32, 7, 1), (32, 16, 16, 8), (6, 5, 4, 2)])
@torch.inference_mode()
def test_unfolded_convolutions_in_pieces(inputs, outputs, kernel, stride):
    convolution = UnfoldedConv1d(inputs, outputs, kernel, stride=stride)
    hidden = torch.randn(2, inputs, 60 * stride + kernel - stride)
    whole = convolution(hidden)
    expected = functional.conv1d(hidden, convolution.weight, convolution.bias, stride=stride)
    torch.testing.assert_close(whole, expected)
    for frames in (1, 2, 7, 40):
        parts = [convolution(piece) for piece in cut(hidden, frames * stride, kernel - stride)]
        assert torch.equal(torch.cat(parts, -1), whole)
    assert torch.equal(convolution(hidden[1:]), whole[1:])


def test_a_layout_follows_its_weight():
    convolution, hidden = UnfoldedConv1d(8, 4, 3), torch.randn(1, 8, 20)
    twin = copy.deepcopy(convolution)

    def check(changed):
        with torch.inference_mode():
            expected = functional.conv1d(hidden, changed.weight, changed.bias)
            torch.testing.assert_close(changed(hidden), expected)

    check(convolution)
    optimizer = torch.optim.AdamW(convolution.parameters(), lr=0.1)
    convolution(hidden).sum().backward()
    optimizer.step()
    check(convolution)
    convolution.load_state_dict(twin.state_dict())
    check(convolution)
    convolution.weight.data = 2 * convolution.weight.data
    check(convolution)
    check(copy.deepcopy(convolution))
    assert convolution.state_dict().keys() == {"weight", "bias"}


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_elu_in_pieces(threads, set_threads):
    set_threads(threads)
    generator = torch.Generator().manual_seed(threads)
    values = 2 * torch.randn(9 * 2**16 + 7, generator=generator)

    @settings(max_examples=15)
    @given(st.integers(0, len(values)), st.integers(1, len(values)))
    @torch.inference_mode()
    def check(start, length):
        piece = values[start : start + length]
        mapped = SteadyELU()(piece.clone())
        assert torch.equal(mapped, whole[start : start + length])
        torch.testing.assert_close(mapped, functional.elu(piece))

    with torch.inference_mode():
        whole = SteadyELU()(values.clone())
    check()


@pytest.mark.parametrize("width", [6, 32])
@torch.inference_mode()
def test_lstms_in_pieces(width):
    lstm = ResidualLSTM(width, 2, exact=True)
    hidden = torch.randn(3, width, 40)
    whole = lstm(hidden)
    torch.testing.assert_close(whole, lstm.lstm(hidden.mT)[0].mT + hidden)
    for size in (1, 2, 7):
        state, parts = lstm.start(3), []
        for piece in cut(hidden, size):
            part, state = lstm.extend(piece, state, last=False)
            parts.append(part)
        assert torch.equal(torch.cat(parts, -1), whole)
    assert torch.equal(lstm(hidden[1:2]), whole[1:2])


def test_training_has_gradients():
    hidden = torch.randn(1, 4, 30, requires_grad=True)
    ResidualLSTM(4, 1, exact=True)(SteadyELU()(SteadyConv1d(4, 4, 3)(hidden))).sum().backward()
    assert hidden.grad.abs().min() > 0
