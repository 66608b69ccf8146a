"""Several processes that share the frozen base: FSDP2 for what rests, DDP for what is trained."""

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from ltu.training.model.ltu import LTU


def shard_base(model: LTU, device: torch.device) -> None:
    """Leaves each process a part of the frozen tensors of every block; a block is whole while it computes.

    What is trained stays whole in every process. The same bits come out. A single process keeps everything.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return
    from torch.distributed.fsdp import fully_shard  # here: a run on one process needs no torch that has it

    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for block in model.whole.model.layers:
        assert isinstance(block, nn.Module)
        trained = {parameter for parameter in block.parameters() if parameter.requires_grad}
        fully_shard(block, mesh=mesh, reshard_after_forward=True, ignored_params=trained)
    resting = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    ignore(model, resting)  # type: ignore[no-untyped-call]
