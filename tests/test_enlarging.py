import numpy as np
import pytest
import soundfile

from qvim_kit.search import SoundIndex
from qvim_kit.search.enlarging import enlarged
from qvim_kit.systems import TwoDFT


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for name in ("Low", "High"):
        (folder / name).mkdir()
        rng = np.random.default_rng(len(name))
        soundfile.write(folder / name / "1.wav", 0.1 * rng.normal(size=16_000), 16_000)
    return SoundIndex.build(folder, TwoDFT())


def test_copies_are_near_what_they_are_copies_of(index):
    large = enlarged(index, 101)
    assert len(large) == len(set(large.sounds["name"])) == 101
    np.testing.assert_allclose(np.linalg.norm(large.embeddings, axis=1), 1, atol=1e-5)
    assert large.embeddings.dtype == np.float32 and large.embeddings.flags.c_contiguous
    assert list(large.sounds["class"][:4]) == list(index.sounds["class"]) * 2
    assert len(np.unique(large.embeddings, axis=0)) == 101  # none is another's equal
    numbers = index.embeddings.shape[1]
    expected = 1 / np.sqrt(1 + numbers * 0.02**2)  # noise at a right angle, nearly
    cosines = (large.embeddings * np.resize(index.embeddings, (101, numbers))).sum(axis=1)
    assert np.abs(cosines - expected).max() < 0.1
    assert np.array_equal(enlarged(index, 101).embeddings, large.embeddings)


def test_it_is_searched_like_any_other(index):
    large = enlarged(index, 50)
    table = large.search(large.embeddings[7], k=3)
    assert table.index[0] == 7 and len(table) == 3
    assert set(large.search(large.embeddings[7], where="high")["class"]) == {"High"}


def test_nothing_is_not_enlarged(index):
    for sounds in (0, -3):
        with pytest.raises(ValueError, match="at least one"):
            enlarged(index, sounds)
