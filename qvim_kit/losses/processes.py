"""One batch of several processes, so that each query meets the items of all of them."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def gather_batch(
    queries: torch.Tensor, items: torch.Tensor, labels: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The batches of all processes, one below the other; gradients flow back to each process.

    Shape: (batch, dim) twice and labels (batch,) → the same with the sum of all batches, which
    may differ in length. Raises ValueError, in all processes, where dim differs or only some have
    labels.
    """
    from torch import distributed
    from torch.distributed.nn.functional import all_gather

    mine = torch.tensor([*queries.shape, labels is not None], device=queries.device)
    shapes = [torch.empty_like(mine) for _ in range(processes())]
    distributed.all_gather(shapes, mine)
    lengths, dims, labelled = torch.stack(shapes).T.tolist()
    if len(set(dims)) > 1 or len(set(labelled)) > 1:
        raise ValueError(
            f"NTXent: found, by process, {dims} dimensions, and labels (1) or none (0) {labelled}; "
            "expected one dimension, and labels everywhere or nowhere"
        )

    def joined(parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    # Together and padded: one exchange, whose order with others cannot differ between processes.
    pairs = at_least_single(torch.stack([queries, items], dim=1))
    pairs = joined(all_gather(F.pad(pairs, (0, 0, 0, 0, 0, max(lengths) - len(pairs)))))
    if labels is not None:
        padded = F.pad(labels.to(queries.device, torch.int64), (0, max(lengths) - len(labels)))
        parts = tuple(torch.empty_like(padded) for _ in lengths)
        distributed.all_gather(list(parts), padded)
        labels = joined(parts)
    return pairs[:, 0], pairs[:, 1], labels


def at_least_single(x: torch.Tensor) -> torch.Tensor:
    """Numbers in single precision or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def processes() -> int:
    """How many train together; 1 without torch.distributed."""
    from torch import distributed

    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if ready else 1
