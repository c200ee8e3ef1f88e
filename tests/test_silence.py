import numpy as np
import torch

from qvim_kit.features import LogMel
from qvim_kit.systems.silence import log_mels


def test_the_padding_of_short_sounds_is_not_computed(rng):
    """The end of a sound at any place in a frame, silence, and zeros within or before it."""
    clips = (0.1 * rng.normal(size=(14, 32_000))).astype(np.float32)
    for number, end in enumerate([0, 1, 319, 320, 321, 513, 514, 15_999, 30_900, 31_999]):
        clips[number, end:] = 0
    clips[10, :16_000] = clips[11, 8_000:9_000] = 0
    clips[12] = 0
    clips[12, -1] = 1e-4
    front_end = LogMel(fmin=30.0)
    expected = front_end(torch.from_numpy(clips))
    torch.testing.assert_close(log_mels(front_end, clips), expected, atol=1e-5, rtol=0)
    computed = []
    front_end.register_forward_pre_hook(lambda _, inputs: computed.append(inputs[0].shape[1]))
    log_mels(front_end, clips[1:2])
    assert computed == [1 + 1024]
