"""Exercise: the loss NT-Xent with its mask. Notebook: 04_finetune."""

from __future__ import annotations

from collections.abc import Callable

from qvim_kit.exercises.comparing import Case, compare
from qvim_kit.exercises.running import NotYet, called, kind, told_error

NAMES = ("queries", "items", "labels", "temperature")


def judge(answer: Callable) -> str:
    """``answer(queries, items, labels, temperature)``: (batch, dim) twice, (batch,) → a scalar."""
    import torch

    cases = _cases()
    hint = (
        "begin with the loss by hand, above, and with rows scaled to length 1. New is that a "
        "logit becomes -inf where its row and column differ but have one label."
    )
    compare(answer, cases, _mistakes(), hint)
    queries, *rest = cases[0].arguments.values()
    loss, error = called(answer, queries.clone().requires_grad_(), *rest)
    if error or not isinstance(loss, torch.Tensor) or not loss.requires_grad:
        came = told_error(error) if error else f"it came as {kind(loss)}, without a gradient."
        raise NotYet(
            f"Not yet. The number is right, but nothing could be trained with it: {came}\n"
            "Hint: stay in torch from the first line to the last, without `.item()`, `.numpy()`, "
            "`.detach()` or `torch.no_grad()`, and the gradient comes along."
        )
    return "your loss is the kit's, mask and gradient included."


def _cases() -> list[Case]:
    import torch

    from qvim_kit.losses import nt_xent

    generator = torch.Generator().manual_seed(4)
    many = [torch.randn(16, 8, generator=generator) for _ in range(2)]
    items = torch.tensor([[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]])
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    lengths = torch.tensor([[2.0], [0.5], [4.0]])
    inputs = {
        "Three pairs of three items": (queries, items, torch.tensor([5, 7, 8]), 0.5),
        "Rows that are not of length 1": (queries * lengths, items / 2, torch.arange(3), 0.5),
        "Three pairs, the first and the last of one item": (
            *(queries, items, torch.tensor([5, 7, 5]), 0.5),
        ),
        "Sixteen pairs of six items": (*many, torch.arange(16) % 6, 0.1),
    }
    return [
        Case(words, dict(zip(NAMES, x, strict=True)), nt_xent(*x[:3], temperature=x[3]).numpy())
        for words, x in inputs.items()
    ]


def _mistakes() -> dict[str, list[Callable]]:
    import torch
    from torch.nn.functional import normalize

    def table(queries, items, labels, t, mask="same", fill=-torch.inf, unit=True, scale=None):
        if unit:
            queries, items = normalize(queries, dim=1), normalize(items, dim=1)
        same, own = labels[:, None] == labels, torch.eye(len(labels), dtype=torch.bool)
        masks = {"same": same & ~own, "none": same & False, "all": same, "others": ~same}
        logits = queries @ items.T
        return (scale(logits, t) if scale else logits / t).masked_fill(masks[mask], fill)

    def loss(*, dim=1, end=torch.mean, **how):
        return lambda *x: end(-torch.log_softmax(table(*x, **how), dim).diagonal())

    return {
        "the mask is missing: where two pairs have one label, the other's item still counts as a "
        "wrong answer.": [loss(mask="none")],
        "the mask covers the diagonal, too, and with it each query's right answer.": [
            loss(mask="all"),
            loss(mask="all", fill=0),
            loss(mask="all", fill=-1e9),
        ],
        "a logit of 0 is still an answer, for exp 0 = 1 stays in the sum. What is left out has a "
        "logit of -inf.": [loss(fill=0)],
        "the mask is the wrong way round: it keeps what has one label and covers the rest.": [
            loss(mask="others"),
        ],
        "the softmax goes over the items of a query, along its row: dim=1.": [
            loss(dim=0),
            loss(dim=0, mask="none"),
        ],
        "are the rows of length 1? They need not be: scale them first.": [
            loss(unit=False),
            loss(unit=False, mask="none"),
        ],
        "where is the temperature?": [loss(scale=lambda x, t: x)],
        "divide by the temperature, do not multiply.": [loss(scale=lambda x, t: x * t)],
        "that is the sum over the queries; asked is the mean.": [loss(end=torch.sum)],
        "the mean over the queries is missing.": [loss(end=lambda x: x)],
        "the right answers stand on the diagonal; that is a mean over the whole table.": [
            lambda *x: -torch.log_softmax(table(*x), 1).mean(),
            lambda *x: -torch.log_softmax(table(*x, mask="none"), 1).mean(),
        ],
        "that is the mean probability of the right answers; asked is the mean of -log.": [
            lambda *x: torch.softmax(table(*x), 1).diagonal().mean(),
            lambda *x: -torch.softmax(table(*x), 1).diagonal().mean(),
        ],
    }
