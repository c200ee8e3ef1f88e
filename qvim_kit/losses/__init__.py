"""Contrastive losses: what pulls a query to its item and away from the others of its batch.

Row i of the queries belongs to row i of the items. Notebook: 04_finetune.
"""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import nn
from torch.nn import functional as F

from qvim_kit.losses.processes import at_least_single, gather_batch, processes

__all__ = ["NTXent", "cosines", "gather_batch", "nt_xent", "pair_bce"]


def nt_xent(
    queries: torch.Tensor,
    items: torch.Tensor,
    labels: torch.Tensor | None = None,
    *,
    temperature: float | torch.Tensor = 0.07,
    symmetric: bool = False,
) -> torch.Tensor:
    """Normalised temperature-scaled cross entropy: which item of the batch is the query's own?

    With C[i, j] = cos(query_i, item_j) / τ it is the mean over i of
    -log( exp C[i, i] / Σ_j exp C[i, j] ). Without labels that is the loss of the AES AIMLA 2025
    baseline. With labels, other entries of a query's own label leave its sum, so that a second
    imitation of one item is not pushed away from it: the loss of Greif et al., "Improving
    Query-by-Vocal Imitation with Contrastive Learning and Audio Pretraining", DCASE 2024.

    Notebook: 04_finetune.

    Args:
        queries, items: embeddings of any length; at least single precision is computed in, under
            autocast too.
        labels: of the pairs, whole numbers; an item's or a class's.
        temperature: τ > 0, a number or a tensor of one element.
        symmetric: mean of query → item and item → query. The DCASE 2023 language-based baseline
            (Xie et al.) takes the sum of the two.

    Shape:
        - Input: (batch, dim) twice, labels (batch,).
        - Output: a scalar; 0 where no negatives are left, as in a batch of one pair.

    Raises ValueError for arguments that do not fit, all at once.
    """
    _check("nt_xent", queries, items, labels, temperature)
    with torch.autocast(queries.device.type, enabled=False):
        logits = cosines(queries, items) / temperature
        if labels is not None:
            labels = labels.to(logits.device)
            same = (labels[:, None] == labels).fill_diagonal_(False)
            logits = logits.masked_fill(same, -torch.inf)
        own = torch.arange(len(logits), device=logits.device)
        loss = F.cross_entropy(logits, own)
        return (loss + F.cross_entropy(logits.T, own)) / 2 if symmetric else loss


def pair_bce(
    queries: torch.Tensor,
    items: torch.Tensor,
    labels: torch.Tensor | None = None,
    *,
    matches: torch.Tensor | None = None,
) -> torch.Tensor:
    """Binary cross entropy of p = (cos + 1) / 2: do this query and this item belong together?

    The alternative to NT-Xent in the code of Greif et al., DCASE 2024, who pair every other query
    with a wrong item. Give ``matches`` for such pairs. Without it all pairs of the batch are
    used and both kinds weigh the same: the mean of -log p over each query with its own item, and
    the mean of -log(1 - p) over each query with every item of another label, halved and added.
    Under several processes it sees the batch it is given: `gather_batch` makes that the global one.

    Args:
        queries, items, labels: as in `nt_xent`.
        matches: 1 where row i of both is a pair, else 0; between the two for mixed pairs.

    Shape: (batch, dim) twice, labels or matches (batch,) → a scalar. Raises ValueError for
    arguments that do not fit.
    """
    _check("pair_bce", queries, items, labels, matches=matches)
    with torch.autocast(queries.device.type, enabled=False):
        similarities = cosines(queries, items)
        # Away from 0 and 1, where a logarithm ends and rounding may lead beyond.
        p = ((similarities + 1) / 2).clamp(1e-6, 1 - 1e-6)
        own = p.diagonal()
        if matches is not None:
            matches = matches.to(own)
            return -(matches * own.log() + (1 - matches) * (1 - own).log()).mean()
        labels = (torch.arange(len(p)) if labels is None else labels).to(p.device)
        negatives = -(1 - p[labels[:, None] != labels]).log()
        return (-own.log().mean() + negatives.sum() / max(1, len(negatives))) / 2


class NTXent(nn.Module):
    """`nt_xent` as a module: over the batches of all processes, with τ fixed or learned.

    Under torch.distributed every process computes the loss of the global batch, whose parts may
    differ in length. The gradients of its own embeddings are summed over the processes, so that
    DistributedDataParallel, which averages, arrives at those of one process with the whole
    batch. All processes must call it equally often: use `nt_xent` where they may not.

    Learned, τ = exp(parameter), as in Radford et al., "Learning Transferable Visual Models From
    Natural Language Supervision", ICML 2021, section 2.5; it is kept within bounds by moving the
    parameter back, which leaves it free to return.

    Args:
        temperature: τ at the start.
        learnable: whether τ is a parameter.
        symmetric: as in `nt_xent`.
        bounds: lowest and highest τ that can be learned.

    Shape: as `nt_xent`.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        *,
        learnable: bool = False,
        symmetric: bool = False,
        bounds: tuple[float, float] = (0.01, 1.0),
    ):
        super().__init__()
        if problem := _temperature_problem(temperature):
            raise ValueError(f"NTXent: {problem}")
        lowest, highest = bounds
        if learnable and not 0 < lowest <= temperature <= highest < math.inf:
            raise ValueError(
                f"NTXent: found temperature {temperature} and bounds {bounds}, "
                "expected 0 < lowest ≤ temperature ≤ highest"
            )
        self.symmetric, self.bounds, self.fixed = symmetric, bounds, float(temperature)
        start = nn.Parameter(torch.tensor(math.log(temperature))) if learnable else None
        self.register_parameter("log_temperature", start)

    @property
    def temperature(self) -> float | torch.Tensor:
        """τ as it is now: a number, or where it is learned a scalar tensor with a gradient."""
        if self.log_temperature is None:
            return self.fixed
        lowest, highest = (math.log(bound) for bound in self.bounds)
        self.log_temperature.data.clamp_(lowest, highest)
        return self.log_temperature.exp()

    def forward(
        self, queries: torch.Tensor, items: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        if processes() > 1:
            _check("NTXent", queries, items, labels)
            queries, items, labels = gather_batch(queries, items, labels)
        return nt_xent(
            queries, items, labels, temperature=self.temperature, symmetric=self.symmetric
        )

    def extra_repr(self) -> str:
        temperature, learned = self.fixed, ""
        if self.log_temperature is not None:  # asking the property would keep it within bounds
            temperature = math.exp(self.log_temperature.item())
            learned = f", learned within {self.bounds}"
        return f"temperature={temperature:.4g}{learned}, symmetric={self.symmetric}"


def cosines(queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Cosine of every query with every item: (queries, dim), (items, dim) → (queries, items)."""
    queries, items = (F.normalize(at_least_single(side), dim=1) for side in (queries, items))
    return queries @ items.T


def _temperature_problem(temperature: float | torch.Tensor) -> str | None:
    if isinstance(temperature, torch.Tensor):  # its value stays on its device
        right, found = temperature.numel() == 1, _told(temperature)
    else:
        right = isinstance(temperature, Real) and 0 < temperature < math.inf
        found = repr(temperature)
    if right:
        return None
    return f"found temperature {found}, expected a positive number or a tensor with one"


def _told(x: object) -> str:
    if not isinstance(x, torch.Tensor):
        return type(x).__name__
    return f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}"


def _check(
    caller: str,
    queries: torch.Tensor,
    items: torch.Tensor,
    labels: torch.Tensor | None,
    temperature: float | torch.Tensor = 1.0,
    matches: torch.Tensor | None = None,
) -> None:
    """Raise one ValueError with whatever is wrong about the arguments of a loss."""
    problems, sides = [], (queries, items)
    fit = all(isinstance(x, torch.Tensor) and x.ndim == 2 and x.is_floating_point() for x in sides)
    if fit:
        fit = queries.numel() and len({(x.shape, x.dtype, x.device) for x in sides}) == 1
    if not fit:
        problems.append(
            f"found queries {_told(queries)} and items {_told(items)}, expected floating-point "
            "tensors of one shape (batch, dim), one dtype and one device, with at least one row"
        )
    rows = tuple(getattr(queries, "shape", ()))[:1] or "(batch,)"
    for name, given, kind in (("labels", labels, "whole"), ("matches", matches, "real")):
        if given is None:
            continue
        right = isinstance(given, torch.Tensor) and tuple(given.shape) == rows
        if right and kind == "whole":
            right = not given.is_floating_point() and given.dtype != torch.bool
        if not right:
            problems.append(
                f"found {name} {_told(given)}, expected a tensor of shape {rows} of {kind} numbers"
            )
    problems += filter(None, [_temperature_problem(temperature)])
    if problems:
        raise ValueError(f"{caller}: " + "; ".join(problems))
