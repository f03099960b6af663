"""One training on several devices, in processes that torch's own launcher starts.

    torchrun --nproc-per-node 4 train.py        # which calls `start()` and then whatever calls `train`

Every process draws the same batch with the same random numbers, and passes its part of it through the
network. The outputs of all parts are put together, so that the loss sees the whole batch and need not know;
gradients of the parts are summed. Batch normalisation takes its statistics over the whole batch. The result
is that of one process at the same batch size, to rounding; only layers that draw, as dropout does, draw
differently. A loss must call the network as a whole and get one tensor.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, distributed, nn

from vipriors.problems import BadInput


def start() -> None:
    """Joins the processes that `torchrun` has started; does nothing in a process that it has not."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpu else "gloo")


def processes() -> int:
    """How many processes train together."""
    joined = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if joined else 1


def rank() -> int:
    """Which of them this is; the first one writes files."""
    return distributed.get_rank() if processes() > 1 else 0


def shared(network: Any) -> Any:
    """The network as a loss is to see it: given a whole batch, it computes this process's part of it."""
    return Shared(network) if processes() > 1 else network


def check_batch_size(batch_size: int) -> None:
    """Refuses a batch that cannot be shared evenly.

    Raises:
        BadInput: Processes would have parts of different sizes.
    """
    if batch_size % processes():
        raise BadInput.single(
            "batch_size", f"is {batch_size}; expected a multiple of {processes()} processes"
        )


def share_norms(model: nn.Module, device: torch.device) -> None:
    """Makes batch normalisation inside a model take its statistics over the parts of all processes."""
    if processes() == 1:
        return
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                parent.add_module(name, SharedBatchNorm.of(child))


def sum_gradients(model: nn.Module) -> None:
    """Adds up the gradients of all processes, each of which knows those of its own part."""
    if processes() == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def anywhere(flag: bool, device: torch.device) -> bool:
    """Whether a flag is set in any process, so that all stop after the same step."""
    if processes() == 1:
        return flag
    found = torch.tensor(float(flag), device=device)
    distributed.all_reduce(found)
    return bool(found)


class Shared(nn.Module):
    """A network that is given a whole batch and passes this process's part of it through another one.

    Args:
        network: Tensor `(B, ...)` to tensor `(B, ...)`; B is a multiple of the processes.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The outputs for the whole batch; only those of this process's part carry gradients."""
        own = self.network(images.tensor_split(processes())[rank()])
        if not isinstance(own, Tensor):
            raise TypeError(
                f"a network gave {type(own).__name__}; training on several devices needs a tensor"
            )
        own = own.contiguous()
        parts = [torch.empty_like(own) for _ in range(processes())]
        distributed.all_gather(parts, own.detach())
        parts[rank()] = own
        return torch.cat(parts)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the parts of all processes, on CPUs too (torch's own needs GPUs).

    Shapes: `(B, C, ...)` to the same.
    """

    @classmethod
    def of(cls, norm: nn.modules.batchnorm._BatchNorm) -> SharedBatchNorm:
        """With the parameters and running statistics of another one, which stay the same tensors."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(made, name, getattr(norm, name))
        return made.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """`(B, C, ...)`, this process's part, normalised by all parts."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        count = input.numel() // input.shape[1] * processes()
        mean = Sum.apply(input.sum(axes)) / count
        centred = input - mean.view(shape)
        variance = Sum.apply(centred.square().sum(axes)) / count
        if self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                assert self.num_batches_tracked is not None
                self.num_batches_tracked.add_(1)
                share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.detach(), share)
                self.running_var.lerp_(variance.detach() * count / max(count - 1, 1), share)
        normal: Tensor = centred * torch.rsqrt(variance + self.eps).view(shape)
        return normal * self.weight.view(shape) + self.bias.view(shape) if self.affine else normal


class Sum(torch.autograd.Function):
    """The sum of a tensor over processes; so is its gradient."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        """The sum."""
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        """The sum of the gradients."""
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total
