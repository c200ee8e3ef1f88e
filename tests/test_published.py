"""Published checkpoints that are damaged, or made to fill the memory; good ones are read elsewhere.

`tests/test_dual_encoder.py` holds that what is read embeds as its encoder.
"""

import pytest
import torch

from qvim_kit.models.mobilenet import CheckpointError, MobileNet
from qvim_kit.models.published import load_published

# Of torch, which reads sparse and quantised tensors.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FIRST, LAST, BIAS = "im.features.0.0.weight", "im.features.16.0.weight", "im.classifier.5.bias"


@pytest.fixture(scope="module")
def good():
    torch.manual_seed(0)
    return {f"im.{key}": value for key, value in MobileNet(0.1, classes=20).state_dict().items()}


def refusal(weights, folder):
    torch.save(weights, folder / "net.pt")
    with pytest.raises(CheckpointError, match="net.pt") as caught:
        load_published(folder / "net.pt")
    return str(caught.value)


def claim(*shape):
    """A tensor of any shape, of which one number is stored."""
    return torch.zeros(1).expand(*shape)


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        (FIRST, claim(10**13)),
        (LAST, claim(10**12, 10, 1, 1)),
        (LAST, claim(960 * 90, 16, 1, 1)),
        (BIAS, claim(10**12)),
        (BIAS, claim(20)),
        (BIAS, torch.zeros(10**15, 0)),
        (FIRST, torch.empty(8, 1, 3, 3, device="meta")),
        (FIRST, torch.zeros(8, 1, 3, 3).to_sparse()),
        (FIRST, torch.zeros(8, 1, 3, 3, dtype=torch.complex64)),
        (FIRST, torch.quantize_per_tensor(torch.zeros(8, 1, 3, 3), 0.1, 0, torch.quint8)),
    ],
)
def test_sizes_that_are_only_claimed_are_refused(good, key, tensor, tmp_path):
    """Without the check this asks for terabytes, or ends in an error of torch's."""
    message = refusal({**good, key: tensor}, tmp_path)
    assert "not as many plain numbers as their shapes say" in message and f": {key};" in message


def test_a_width_that_the_file_does_not_hold_takes_no_memory(good, tmp_path, monkeypatch):
    """The last convolution may be real, and all that follows from its width be absent."""
    made = []
    real = MobileNet.__init__

    def noted(self, *arguments, **options):
        made.append(torch.empty(0).device.type)
        real(self, *arguments, **options)

    monkeypatch.setattr(MobileNet, "__init__", noted)
    message = refusal({**good, LAST: torch.zeros(96_000, 1, 1, 1)}, tmp_path)
    assert "misshapen" in message and made == ["meta"]


def test_a_good_one_and_its_views_are_read(good, tmp_path):
    whole = torch.cat([value.flatten() for value in good.values() if value.is_floating_point()])
    place, views = 0, {}
    for key, value in good.items():
        if value.is_floating_point():
            views[key] = whole[place : place + value.numel()].view(value.shape)
            place += value.numel()
        else:
            views[key] = value
    torch.save(views, tmp_path / "net.pt")
    loaded = load_published(tmp_path / "net.pt").state_dict()
    trunk = {key: value for key, value in loaded.items() if "features.0.0" in key}
    assert trunk and all(torch.equal(value, good[FIRST]) for value in trunk.values())
