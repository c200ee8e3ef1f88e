import numpy as np
import pytest
from scipy import stats

from qvim_kit.evaluation.intervals import (
    bootstrap_interval,
    paired_permutation_test,
    random_reciprocal_rank,
)


def clustered(rng, items=60, each=3):
    """Values whose queries of one item resemble each other."""
    ids = np.repeat(np.arange(items), each)
    return rng.normal(size=items)[ids] + 0.2 * rng.normal(size=items * each), ids


def test_interval_equals_scipy_on_items(rng):
    values, ids = clustered(rng)
    ours = bootstrap_interval(values[:, None], ids)[:, 0]
    means = values.reshape(-1, 3).mean(axis=1)
    theirs = stats.bootstrap((means,), np.mean, method="percentile", n_resamples=10_000, rng=1)
    assert ours == pytest.approx(list(theirs.confidence_interval), abs=0.02)


def test_interval_is_wider_than_if_queries_were_independent(rng):
    values, ids = clustered(rng)
    width = np.diff(bootstrap_interval(values[:, None], ids), axis=0).item()
    naive = np.diff(bootstrap_interval(values[:, None], np.arange(len(ids))), axis=0).item()
    assert width > 1.4 * naive


def test_interval_with_unequal_counts_holds_the_mean_and_repeats():
    values = np.array([[0.0], [0.0], [1.0], [1.0], [1.0], [1.0]])
    ids = np.array(["a", "b", "c", "c", "c", "c"])
    low, high = bootstrap_interval(values, ids)
    assert low < values.mean() < high
    np.testing.assert_array_equal(bootstrap_interval(values, ids), [low, high])


def test_permutation_test_equals_scipy(rng):
    for shift in (0.0, 0.25, 1.0):
        values, ids = clustered(rng)
        ours = paired_permutation_test(values + shift, ids)
        sums = (values + shift).reshape(-1, 3).sum(axis=1)
        theirs = stats.permutation_test(
            (sums, np.zeros(60)),
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=9_999,
            rng=1,
        ).pvalue
        assert ours == pytest.approx(theirs, abs=0.02)


def test_equal_systems_do_not_differ():
    assert paired_permutation_test(np.zeros(9), np.arange(9)) == 1.0


@pytest.mark.parametrize(("items", "level"), [(121, 0.0444), (53, 0.0860), (10, 0.2929)])
def test_random_levels_are_the_published_ones(items, level):
    assert random_reciprocal_rank(items) == pytest.approx(level, abs=5e-5)
    harmonic = sum(1 / rank for rank in range(1, items + 1))
    assert random_reciprocal_rank(items) == pytest.approx(harmonic / items, rel=1e-9)


def test_random_level_of_the_first_of_several(rng):
    orders = rng.permuted(np.tile(np.arange(12) < 4, (20_000, 1)), axis=1)
    drawn = (1 / (orders.argmax(axis=1) + 1)).mean()
    assert random_reciprocal_rank(12, 4) == pytest.approx(drawn, abs=0.01)
    assert random_reciprocal_rank(5, 5) == pytest.approx(1.0)
