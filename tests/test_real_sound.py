"""Real recordings through the whole chain; skipped where they are not on the machine."""

import pytest

from qvim_kit import metrics
from qvim_kit.systems import EncoderSystem, Random, TwoDFT


@pytest.fixture(scope="module")
def esc10(shared):
    """400 clips in ten class folders: path → class."""
    return {
        str(path): path.parent.name for path in sorted((shared / "data" / "esc10").glob("*/*.ogg"))
    }


def self_retrieval(system, clips):
    """mAP@10 and class NDCG of clips that query each other."""
    scores = system.compute_similarities(
        dict(zip(clips, clips, strict=True)), {c: c for c in clips}
    )
    similarity = [[scores[query][item] for item in clips] for query in clips]
    case = metrics.leave_one_out(similarity, list(clips.values()))
    return metrics.average_precision_at_k(*case), metrics.ndcg(*case)


def test_400_real_recordings_find_their_class(esc10, shared):
    assert len(esc10) == 400 and len(set(esc10.values())) == 10
    random = self_retrieval(Random(), esc10)
    fingerprints = self_retrieval(TwoDFT(), esc10)
    encoder = self_retrieval(EncoderSystem.from_pretrained("mn04_as"), esc10)
    assert random[0] < 0.05 < 0.08 < fingerprints[0] < encoder[0]
    assert encoder[0] > 0.2 and encoder[1] > 0.95


def test_real_imitations_find_their_class(esc10, shared):
    """A dog barked by mouth is nearer to some dog than chance would have it."""
    imitations = shared / "data" / "real_imitations"
    wanted = {
        "tfoley_dog_bark.flac": "001 - Dog bark",
        "tfoley_rain.flac": "002 - Rain",
        "12330_228_waves_breaking_everyday.flac": "003 - Sea waves",
    }
    system = EncoderSystem.from_pretrained("mn04_as")
    items = {path: path for path in esc10}
    scores = system.compute_similarities(items, {name: str(imitations / name) for name in wanted})
    ranks = {
        name: 1 + [esc10[p] for p in sorted(row, key=row.get, reverse=True)].index(wanted[name])
        for name, row in scores.items()
    }
    assert sorted(ranks.values())[1] <= 10, ranks
