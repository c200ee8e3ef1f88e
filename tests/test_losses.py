import json
import math
import os
import sys
from datetime import timedelta

import pytest
import torch
from torch.nn import functional as F

from qvim_kit.losses import NTXent, nt_xent, pair_bce


@pytest.fixture
def published(golden):
    data = json.loads((golden / "losses_dev.json").read_text())
    data["query"], data["item"] = torch.tensor(data["query"]), torch.tensor(data["item"])
    data["label"] = torch.tensor(data["label"])
    return data


def pairs(rows=6, dim=4, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    queries, items = torch.randn(2, rows, dim, generator=generator, dtype=dtype)
    labels = torch.randint(3, (rows,), generator=generator)
    return queries.requires_grad_(), items.requires_grad_(), labels


def naive(queries, items, labels, temperature):
    """Query → item, term by term."""

    def cosine(a, b):
        lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
        return sum(x * y for x, y in zip(a, b, strict=True)) / lengths

    queries, items, labels = queries.tolist(), items.tolist(), labels.tolist()
    total = 0.0
    for i, query in enumerate(queries):
        kept = [j for j in range(len(items)) if j == i or labels[j] != labels[i]]
        powers = {j: math.exp(cosine(query, items[j]) / temperature) for j in kept}
        total -= math.log(powers[i] / sum(powers.values()))
    return total / len(queries)


def test_equals_the_three_published_losses(published):
    query, item, label = published["query"], published["item"], published["label"]
    assert nt_xent(query, item).item() == pytest.approx(
        published["one_direction_unmasked"], abs=1e-6
    )
    assert nt_xent(query, item, label).item() == pytest.approx(
        published["one_direction_masked"], abs=1e-6
    )
    both = nt_xent(query, item, label, symmetric=True)
    assert 2 * both.item() == pytest.approx(published["symmetric_masked_sum"], abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("temperature", [0.05, 0.07, 1.0])
def test_equals_a_loop(seed, temperature):
    queries, items, labels = pairs(rows=9, seed=seed)
    distinct = torch.arange(9)
    forth, back = (
        naive(a, b, labels, temperature) for a, b in ((queries, items), (items, queries))
    )
    options = {"temperature": temperature}
    assert nt_xent(queries, items, labels, **options).item() == pytest.approx(forth, abs=1e-10)
    both = nt_xent(queries, items, labels, symmetric=True, **options)
    assert both.item() == pytest.approx((forth + back) / 2, abs=1e-10)
    unmasked = naive(queries, items, distinct, temperature)
    assert nt_xent(queries, items, **options).item() == pytest.approx(unmasked, abs=1e-10)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("labelled", [False, True])
def test_gradients(symmetric, labelled):
    queries, items, labels = pairs()
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss(queries, items, tau):
        return nt_xent(
            queries, items, labels if labelled else None, temperature=tau, symmetric=symmetric
        )

    assert torch.autograd.gradcheck(loss, (queries, items, tau))


def test_gradients_of_the_pair_loss():
    queries, items, labels = pairs()
    assert torch.autograd.gradcheck(lambda q, i: pair_bce(q, i, labels), (queries, items))
    matches = torch.tensor([1, 0, 1, 0, 1, 0])
    assert torch.autograd.gradcheck(lambda q, i: pair_bce(q, i, matches=matches), (queries, items))


@pytest.mark.parametrize("loss", [nt_xent, pair_bce])
@pytest.mark.parametrize("case", ["one pair", "one label", "opposite", "silence"])
def test_extreme_batches_stay_finite(loss, case):
    queries, items, labels = pairs(1 if case == "one pair" else 6, dtype=torch.float32)
    if case == "one label":
        labels = torch.zeros_like(labels)
    if case == "opposite":
        queries = (-items).detach().requires_grad_()
    if case == "silence":
        queries = torch.zeros_like(queries, requires_grad=True)
    options = {"temperature": 1e-3} if loss is nt_xent else {}
    value = loss(queries, items, labels, **options)
    value.backward()
    assert value.isfinite() and queries.grad.isfinite().all() and items.grad.isfinite().all()
    if case.startswith("one") and loss is nt_xent:  # no negatives are left
        assert value == 0 and not queries.grad.any()


def test_a_low_temperature_is_the_hinge_on_the_hardest_negative():
    queries, items, _ = pairs(rows=8, dtype=torch.float32)
    cosine = F.normalize(queries, dim=1) @ F.normalize(items, dim=1).T
    expected = (cosine.max(1).values - cosine.diagonal()).mean() / 1e-3
    torch.testing.assert_close(
        nt_xent(queries, items, temperature=1e-3), expected, rtol=1e-3, atol=0
    )


def test_half_precision_is_computed_in_single():
    queries, items, labels = pairs(dtype=torch.float32)
    expected = nt_xent(queries.bfloat16().float(), items.bfloat16().float(), labels)
    torch.testing.assert_close(nt_xent(queries.bfloat16(), items.bfloat16(), labels), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(
            nt_xent(queries, items, labels), nt_xent(queries.clone(), items, labels)
        )
        inside = nt_xent(queries, items, labels)
    torch.testing.assert_close(inside, nt_xent(queries, items, labels))


def test_pair_loss_equals_torch():
    queries, items, labels = pairs(rows=8)
    matches = torch.tensor([1.0, 0, 1, 0, 1, 0, 0.25, 0], dtype=torch.float64)
    p = (F.cosine_similarity(queries, items) + 1) / 2
    torch.testing.assert_close(
        pair_bce(queries, items, matches=matches), F.binary_cross_entropy(p, matches)
    )
    p = (F.cosine_similarity(queries[:, None], items[None], dim=2) + 1) / 2
    wrong = [p[i, j] for i in range(8) for j in range(8) if labels[i] != labels[j]]
    expected = -(p.diagonal().log().mean() + (1 - torch.stack(wrong)).log().mean()) / 2
    torch.testing.assert_close(pair_bce(queries, items, labels), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": torch.zeros(6, 5)}, r"queries \(6, 4\) float32 and items \(6, 5\) float32"),
        ({"items": torch.zeros(5, 4)}, r"items \(5, 4\).*expected.*one shape \(batch, dim\)"),
        ({"items": torch.zeros(6, 4).double()}, r"items \(6, 4\) float64.*one dtype"),
        ({"items": torch.zeros(6, 4).long()}, r"items \(6, 4\) int64, expected floating-point"),
        ({"queries": torch.zeros(6)}, r"queries \(6,\)"),
        ({"queries": torch.zeros(0, 4), "items": torch.zeros(0, 4)}, "at least one row"),
        ({"items": [[0.0]]}, "items list"),
        ({"labels": torch.zeros(5).long()}, r"labels \(5,\) int64, expected.*\(6,\)"),
        ({"labels": torch.zeros(6)}, r"labels \(6,\) float32, expected.*whole numbers"),
        ({"labels": ["a"] * 6}, r"labels list, expected a tensor of shape \(6,\)"),
        ({"temperature": 0}, "temperature 0, expected a positive number"),
        ({"temperature": math.nan}, "temperature nan"),
        ({"temperature": "0.07"}, "temperature '0.07'"),
        ({"temperature": torch.ones(2)}, r"temperature \(2,\) float32"),
    ],
)
def test_what_does_not_fit_is_told(change, message):
    arguments = {"queries": torch.zeros(6, 4), "items": torch.zeros(6, 4), **change}
    with pytest.raises(ValueError, match=f"nt_xent: found .*{message}"):
        nt_xent(**arguments)


def test_all_that_does_not_fit_is_told_at_once():
    with pytest.raises(ValueError, match=r"\(2, 3\).*labels \(1,\).*temperature -1"):
        nt_xent(torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(1).long(), temperature=-1)
    with pytest.raises(ValueError, match=r"pair_bce: found matches \(3,\) float32"):
        pair_bce(torch.zeros(2, 3), torch.zeros(2, 3), matches=torch.zeros(3))


def test_a_learned_temperature_stays_in_bounds_and_can_return():
    queries, items, labels = pairs(dtype=torch.float32)
    loss = NTXent(0.07, learnable=True)
    torch.testing.assert_close(loss(queries, items, labels), nt_xent(queries, items, labels))
    with torch.no_grad():
        loss.log_temperature.fill_(-50.0)
    assert "temperature=1.9" in repr(loss) and loss.log_temperature == -50  # looks only
    loss(queries, items.flip(0)).backward()  # the wrong items: a higher τ costs less
    assert loss.temperature.item() == pytest.approx(0.01)
    torch.optim.SGD(loss.parameters(), lr=0.01).step()
    assert loss.temperature.item() > 0.011


def test_a_fixed_temperature_is_no_parameter():
    loss = NTXent(0.2, symmetric=True)
    queries, items, labels = pairs()
    assert not list(loss.parameters()) and not loss.state_dict() and "0.2" in repr(loss)
    expected = nt_xent(queries, items, labels, temperature=0.2, symmetric=True)
    assert loss(queries, items, labels) == expected


def test_bounds_hold_the_start():
    with pytest.raises(ValueError, match="found temperature 2.0 and bounds"):
        NTXent(2.0, learnable=True)
    with pytest.raises(ValueError, match="NTXent: found temperature -1"):
        NTXent(-1)


class Towers(torch.nn.Module):
    """Two linear towers and their loss, as one module to be trained."""

    def __init__(self, symmetric):
        super().__init__()
        torch.manual_seed(0)
        self.query, self.item = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
        self.loss = NTXent(0.1, learnable=True, symmetric=symmetric)
        self.double()

    def forward(self, queries, items, labels):
        return self.loss(self.query(queries), self.item(items), labels)


def global_batch():
    queries, items, _ = pairs(rows=8, dim=5)
    return queries.detach(), items.detach(), torch.tensor([0, 1, 2, 0, 3, 1, 1, 4])


PARTS = {"equal": (slice(0, 4), slice(4, 8)), "unequal": (slice(0, 5), slice(5, 8))}


def one_process_of_two(rank, folder):
    """Train-step on one part of the batch; leaves value and gradients in a file."""
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=(folder / "rendezvous").as_uri(),
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    results = {}
    for name, parts in PARTS.items():
        for labelled in (False, True):
            model = torch.nn.parallel.DistributedDataParallel(Towers(symmetric=labelled))
            queries, items, labels = (side[parts[rank]] for side in global_batch())
            loss = model(queries, items, labels if labelled else None)
            loss.backward()
            gradients = {key: p.grad for key, p in model.module.named_parameters()}
            results[name, labelled] = loss.detach(), gradients
    try:
        NTXent()(torch.zeros(2, 3 + rank), torch.zeros(2, 3 + rank))
    except ValueError as error:
        results["error"] = str(error)
    torch.save(results, folder / f"{rank}.pt")
    del model, loss  # or gloo's threads may be torn down while they still serve it
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes_equal_one_with_the_whole_batch(tmp_path):
    torch.multiprocessing.spawn(one_process_of_two, (tmp_path,), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name in PARTS:
        for labelled in (False, True):
            alone = Towers(symmetric=labelled)
            queries, items, labels = global_batch()
            loss = alone(queries, items, labels if labelled else None)
            loss.backward()
            expected = loss.detach(), {key: p.grad for key, p in alone.named_parameters()}
            for results in found:
                torch.testing.assert_close(results[name, labelled], expected, rtol=1e-9, atol=1e-12)
    assert all("[3, 4] dimensions" in results["error"] for results in found)
