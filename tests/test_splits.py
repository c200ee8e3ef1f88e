import pytest
from published_layouts import make_vis
from stand_ins import concepts_of_imitations as make
from stand_ins import ids, random_mrr

from qvim_kit.datasets import DatasetError, RetrievalDataset, read_vocal_imitation_set
from qvim_kit.datasets.splits import candidate_groups, require_disjoint, split_by_item

SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("validation", [0.01, 0.2, 0.5, 0.99])
def test_an_items_imitations_never_straddle(seed, validation):
    whole = make()
    train, held_out = split_by_item(whole, validation, seed)
    for table, column in (("queries", "query_id"), ("items", "item_id")):
        assert sorted(ids(train, held_out, table=table, column=column)) == sorted(
            ids(whole, table=table, column=column)
        )
    assert not set(train.queries["item_id"]) & set(held_out.queries["item_id"])
    for part in (train, held_out):
        assert set(part.queries["item_id"]) <= set(part.items["item_id"])
        assert "kind of" in part.items  # further columns stay
    assert held_out.queries["item_id"].nunique() == min(max(1, round(validation * 22)), 21)
    assert "train" in train.name and "validation" in held_out.name and "toy" in held_out.name


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    whole = make()
    turned = RetrievalDataset(whole.items[::-1], whole.queries[::-1], "toy")
    first = set(ids(split_by_item(whole)[1]))
    assert set(ids(split_by_item(turned)[1])) == first
    assert any(set(ids(split_by_item(whole, seed=seed)[1])) != first for seed in SEEDS[1:])


@pytest.mark.parametrize("validation", [0, 1, -1, 1.5, float("nan")])
def test_a_split_needs_a_share_and_two_items(validation):
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        split_by_item(make(), validation)
    with pytest.raises(ValueError, match="found 1 imitated item, expected 2"):
        split_by_item(make(concepts=1, items=1))


def test_require_disjoint_lists_all_that_is_shared():
    whole = make(concepts=2)
    train, held_out = split_by_item(whole)
    require_disjoint(train, held_out)
    with pytest.raises(DatasetError) as caught:
        require_disjoint(whole, held_out)
    assert len(caught.value.problems) == held_out.queries["item_id"].nunique()


def test_candidate_groups(tmp_path):
    dataset = read_vocal_imitation_set(make_vis(tmp_path, others=9))
    groups = candidate_groups(dataset)
    concepts = [group.items["class"].unique().tolist() for group in groups]
    assert concepts == [["000"], ["001"], ["017"], ["020"]]  # 239 has no other recordings
    for group in groups:
        (reference,) = group.items["item_id"][group.items["kind"] == "reference"]
        assert set(group.queries["item_id"]) == {reference}
        assert len(group.items) == 10 and len(group.queries) == 3
    assert groups[2].name == "Vocal Imitation Set, concept 017"
    # Ten candidates each: the random MRR of the fine protocol.
    assert [random_mrr(group) for group in groups] == pytest.approx([0.2929] * 4, abs=5e-5)


def test_candidate_groups_need_the_vocal_imitation_set(dataset):
    with pytest.raises(DatasetError, match="(?s)no column 'kind'.*read_vocal_imitation_set"):
        candidate_groups(dataset)
    items = dataset.items.assign(kind="non_reference")
    with pytest.raises(DatasetError, match="concept A: expected one reference"):
        candidate_groups(RetrievalDataset(items, dataset.queries))
    items = dataset.items.assign(kind="reference")
    with pytest.raises(DatasetError, match="no concept has both"):
        candidate_groups(RetrievalDataset(items, dataset.queries))
