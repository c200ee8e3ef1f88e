"""Learning rates, against the values that the published systems went through."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qvim_kit.training.schedules import Constant, ExponentialWarmupLinearRampdown, WarmupCosine

GREIF = [
    3.0e-5, 1.43e-4, 5e-4, 5e-4, 5e-4, 4.29e-4, 3.57e-4, 2.86e-4, 2.14e-4, 1.43e-4, 7.15e-5, 5e-8,
    5e-8, 5e-8, 5e-8,
]  # fmt: skip


def test_greif_goes_through_the_published_rates():
    schedule = ExponentialWarmupLinearRampdown()
    found = [schedule(epoch * 780, 780) for epoch in range(15)]
    np.testing.assert_allclose(found, GREIF, rtol=5e-3)


def test_greif_stays_within_an_epoch():
    schedule = ExponentialWarmupLinearRampdown()
    for epoch in range(15):
        assert len({schedule(step, 7) for step in range(7 * epoch, 7 * epoch + 7)}) == 1


def test_aes_by_the_step():
    steps = 100
    found = [WarmupCosine()(step, steps) for step in range(15 * steps)]
    np.testing.assert_allclose(found[:100], np.linspace(1e-4, 3e-4, 100, endpoint=False))
    assert found[100] == pytest.approx(3e-4)
    assert found[450] == pytest.approx(2e-4)  # half way down
    assert set(found[800:]) == {1e-4}
    assert np.all(np.diff(found[100:801]) < 0)


def test_aes_falls_as_torchs_cosine():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=3e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=70, eta_min=1e-4)
    schedule = WarmupCosine()
    for step in range(10, 81):
        assert schedule(step, 10) == pytest.approx(cosine.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        cosine.step()


def test_constant():
    assert {Constant(2e-3)(step, 5) for step in range(20)} == {2e-3}
