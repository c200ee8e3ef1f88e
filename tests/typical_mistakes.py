"""Mistakes that students make, each with what the answer of `check` has to speak of."""

import numpy as np
import torch
from torch.nn import functional as F


def ranks(scores, right):
    return (np.argsort(-scores, axis=1) == right[:, None]).argmax(1) + 1


def argsort_at(scores, right):
    order = np.argsort(scores, axis=1)[:, ::-1]
    return np.mean([1 / (order[i, r] + 1) for i, r in enumerate(right)])


def cross_entropy(
    queries, items, labels, temperature, *, fill=-torch.inf, diagonal=False, mask=True
):
    logits = F.normalize(queries) @ F.normalize(items).T / temperature
    same = labels[None] == labels[:, None]
    same = same if diagonal else same & ~torch.eye(len(labels), dtype=bool)
    logits = torch.where(same, fill, logits) if mask else logits
    return F.cross_entropy(logits, torch.arange(len(logits)))


def unscaled(queries, items, labels, temperature):
    logits = queries @ items.T / temperature
    same = (labels[None] == labels[:, None]).fill_diagonal_(False)
    return F.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(logits)))


def over_columns(queries, items, labels, temperature):
    logits = F.normalize(queries) @ F.normalize(items).T / temperature
    same = (labels[None] == labels[:, None]).fill_diagonal_(False)
    return -F.log_softmax(logits.masked_fill(same, -torch.inf), 0).diagonal().mean()


def summed_up(*batch):
    return cross_entropy(*batch) * len(batch[0])


def shared_spectrum(picture):
    return np.fft.fftshift(np.fft.fft2(picture))


def standard(x, axis=1, ddof=0):
    return (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True, ddof=ddof)


def fused(measure):
    return lambda voice, words, weight: weight * measure(voice) + (1 - weight) * measure(words)


def rocchio(mean=lambda x: x.mean(0) if len(x) else 0.0, sign=-1.0, unit=True, swap=False):
    def function(query, right, wrong, alpha, beta, gamma):
        right, wrong = (wrong, right) if swap else (right, wrong)
        new = alpha * query + beta * mean(right) + sign * gamma * mean(wrong)
        return new / np.linalg.norm(new) if unit else new

    return function


def precise(divide, cut=True, first=1, everywhere=False):
    def function(right, k):
        right = right[:k] if cut else right
        places = np.arange(first, first + len(right))
        terms = np.cumsum(right) / places
        return (terms if everywhere else terms[right]).sum() / divide(right)

    return function


def all_right(right, k):
    return (np.cumsum(right) / np.arange(1, len(right) + 1) * right)[:k].sum()


MISTAKES = {
    "mrr": [
        (lambda s, r: np.mean(1 / (ranks(s, r) - 1)), "rank 1"),
        (
            lambda s, r: sum(1 / int(n - 1) for n in ranks(s, r)) / len(r),
            "ZeroDivisionError.*rank 1",
        ),
        (lambda s, r: np.mean(1 / (ranks(s, r) + 1)), "yours has 2"),
        (lambda s, r: np.mean(1 / ranks(-s, r)), "upside down"),
        (argsort_at, "which item is at a place"),
        (lambda s, r: 1 / ranks(s, r).mean(), "1 / the mean of the ranks"),
        (lambda s, r: ranks(s, r).mean(), "mean of the reciprocals"),
        (lambda s, r: 1 / ranks(s, r), r"shape \(2,\), expected one number.*mean .* is missing"),
        (lambda s, r: 1 / ranks(s.T[:, : len(s)], r), "Hint"),
    ],
    "two_dft": [
        (
            lambda p: abs(shared_spectrum(p)),
            r"found shape \(63, 4\), expected shape \(252,\).*one row",
        ),
        (lambda p: abs(np.fft.fft2(p)).ravel(), "fftshift"),
        (lambda p: np.fft.fftshift(abs(np.fft.fft2(p)).ravel()), "before it becomes one row"),
        (lambda p: shared_spectrum(p).ravel(), "complex numbers, expected real.*magnitude"),
        (lambda p: shared_spectrum(p).real.ravel(), "real part"),
        (lambda p: abs(np.fft.fftshift(np.fft.fft(p))).ravel(), "both, time and pitch"),
        (lambda p: abs(shared_spectrum(p)).T.ravel(), "row after row"),
        (lambda p: abs(shared_spectrum(p)).ravel() ** 2, "squared"),
        (lambda p: abs(shared_spectrum(p)).ravel() / p.size, "everywhere|Hint"),
    ],
    "leak": [
        (lambda a, b: b["query_id"].isin(a["query_id"]).mean(), "no query_id is on both sides"),
        (
            lambda a, b: np.mean([i in a["item_id"] for i in b["item_id"]]),
            "row numbers; use `isin`",
        ),
        (lambda a, b: a["item_id"].isin(b["item_id"]).mean(), "share of the training queries"),
        (lambda a, b: b["class"].isin(a["class"]).mean(), "compare the items"),
        (lambda a, b: len(set(a["item_id"]) & set(b["item_id"])), "is a number"),
        (lambda a, b: b["item_id"].isin(a["item_id"]), "take the mean"),
        (lambda a, b: (~b["item_id"].isin(a["item_id"])).mean(), r"\*not\* leak"),
        (lambda a, b: (a["item_id"] == b["item_id"]).mean(), "ValueError in line.*identically"),
    ],
    "nt_xent": [
        (
            lambda *x: cross_entropy(*x, mask=False),
            "first and the last of one item.*mask is missing",
        ),
        (lambda *x: cross_entropy(*x, diagonal=True), "found inf.*covers the diagonal"),
        (lambda *x: cross_entropy(*x, fill=0.0), "exp 0 = 1"),
        (over_columns, "dim=1"),
        (unscaled, "not of length 1.*scale them first"),
        (summed_up, "that is the sum"),
        (lambda *x: -cross_entropy(*x), "wrong sign"),
        (lambda q, i, t, temperature: cross_entropy(q, i, t, 1.0), "where is the temperature"),
        (lambda *x: cross_entropy(*x).item(), "it came as a float, without a gradient"),
        (lambda *x: cross_entropy(*x).detach().numpy(), "it came as an ndarray, without"),
        (lambda *x: cross_entropy(*x).detach(), "a Tensor, without a gradient.*stay in torch"),
        (
            lambda q, *x: cross_entropy(torch.from_numpy(q.numpy()), *x),
            "RuntimeError.*stay in torch",
        ),
    ],
    "rocchio": [
        (rocchio(unit=False), "scale the result to length 1"),
        (rocchio(lambda x: x.mean(0)), "Nothing marked wrong.*the mean of no rows"),
        (rocchio(lambda x: x.sum(0)), "not their sum"),
        (rocchio(sign=1), "is subtracted"),
        (rocchio(swap=True), "changed places"),
        (rocchio(np.mean), "axis=0"),
        (rocchio(lambda x: x.mean(1)), "over the rows"),
        (rocchio(lambda x: x.mean(1) if len(x) else 0), "over the rows"),
    ],
    "average_precision": [
        (precise(lambda r: max(r.sum(), 1)), "also of those that k leaves out"),
        (precise(len), "not of places"),
        (lambda r, k: all_right(r, 99) / r.sum(), "beyond place k"),
        (lambda r, k: np.cumsum(r[:k])[r[:k]].sum() / r.sum(), "Hint"),
        (precise(lambda r: r.sum(), first=0), "Hint"),
        (
            lambda r, k: np.sum((np.cumsum(r) / np.arange(len(r)))[:k][r[:k]]) / r.sum(),
            "at the first has",
        ),
        (lambda r, k: (r[:k] / np.arange(1, len(r[:k]) + 1)).sum() / r.sum(), "adds up 1 / place"),
        (precise(len, everywhere=True), "only where the answer is right"),
        (lambda r, k: r[:k].sum() / r.sum(), "recall"),
        (all_right, "divide it by the number of right answers"),
        (lambda r, k: r[:k].mean(), "precision at k alone"),
    ],
    "fusion": [
        (fused(lambda x: x), "do not compare"),
        (fused(standard), "alike.*has no say"),
        (fused(lambda x: standard(x, axis=0)), "down the columns"),
        (fused(lambda x: (x - x.mean()) / x.std()), "not of the whole table"),
        (fused(lambda x: standard(x, ddof=1)), "items - 1"),
        (lambda v, w, weight: fused(standard)(w, v, weight), "wrong way round"),
        (fused(lambda x: (x - x.min(1, keepdims=True)) / np.ptp(x, 1, keepdims=True)), "0 to 1"),
        (
            lambda v, w, weight: fused(standard)(v, w, weight).mean(1),
            r"shape \(1,\), expected shape \(1, 3",
        ),
    ],
}


# With `Gap`: its method `apply`.


def at(x, start, length):
    place = torch.arange(x.shape[1])
    return x.masked_fill((place >= start) & (place < start + length), 0.0)


def begin(x, generator=None, shape=None, room=300):
    return torch.randint(room + 1, shape or (len(x), 1), generator=generator)


def in_place(self, x, generator):
    x[:, 100:200] = 0
    return x


def whole_clips(self, x, generator):
    x = x.clone()
    start = int(torch.randint(len(x) * 3 // 4 + 1, (1,), generator=generator))
    x[start : start + len(x) // 4] = 0
    return x


GAPS = [
    (lambda self, x, g: at(x, begin(x, g, (1, 1)), 100), "one place for each clip"),
    (lambda self, x, g: at(x, begin(x), 100), "generator=generator"),
    (lambda self, x, g: at(x, torch.arange(len(x))[:, None] * 40, 100), "Two seeds give one"),
    (in_place, "changes x itself"),
    (whole_clips, "samples go along axis 1|number 0: it is unchanged"),
    (lambda self, x, g: at(x, begin(x, g, room=399), 100), "runs out at the end|not one"),
    (lambda self, x, g: at(x, begin(x, g), 40), "40 of 400 numbers, expected 100"),
    (lambda self, x, g: at(x, begin(x, g, room=20), 100), "every place with room"),
    (
        lambda self, x, g: x * (torch.rand(x.shape, generator=g) > 0.25),
        "not one after the other",
    ),
    (lambda self, x, g: 0.5 * at(x, begin(x, g), 100), "outside its gap"),
    (lambda self, x, g: x, "unchanged"),
    (lambda self, x, g: None, "a `return`"),
    (lambda self, x, g: x[:, :300], r"found shape \(8, 300\)"),
    (lambda self, x, g: x.numpy(), "ndarray, expected a tensor"),
    (lambda self, x, g: x[9], "IndexError in line"),
    (lambda self, x: x, "TypeError"),
]


def edit(index, source):
    def function(notebook):
        notebook["cells"][index]["source"] = source
        return notebook

    return function


NEEDED = "import librosa\nimport numpy as np\n"  # by the example in cell 11
SUBMISSIONS = [
    (lambda notebook: notebook, "as it was"),
    (lambda notebook: notebook["cells"].clear(), "returned None.*return notebook"),
    (lambda notebook: notebook["cells"], "a list, expected the notebook"),
    (lambda notebook: {"cells": notebook["cells"][:2]}, "so thoroughly"),
    (lambda notebook: {**notebook, "cells": 3}, "so thoroughly"),
    (lambda notebook: {**notebook, "cells": {1}}, "cannot be stored"),
    (edit(7, "# nothing\n" + NEEDED), "no errors"),
    (edit(7, "%pip install timm\n" + NEEDED), "only advice"),
    (edit(7, "!ls\n" + NEEDED), r"1 of 3 rules:\n  cell 8, line 1: the comm.* runs 'ls' \[shell\]"),
    (edit("a", ""), "TypeError in line"),
]
