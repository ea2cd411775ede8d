"""What a search sees of a data set: the split, and augmented batches against a plain reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.config.protocol import Protocol, load_protocol
from harness.data.batches import Images, random_crop, random_flip, search_data, shrink
from harness.data.training_set import TrainingSet
from harness.errors import HarnessError
from harness.random_streams import stream

CPU = torch.device("cpu")


def numbered(count: int = 41, size: int = 8) -> TrainingSet:
    """Images whose every pixel says which image it is."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, size, size).contiguous()
    return TrainingSet("numbered", images, torch.arange(count) % 10, 10, "0" * 64, "")


def protocol(*overrides: str) -> Protocol:
    return load_protocol("quick", ["data.crop_padding=0", "search.batch_size=8", *overrides])


def seen(images: Images) -> list[int]:
    return images.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("split", ["random", "fixed", "halves"])
def test_the_halves_are_equal_and_share_no_image(split: str) -> None:
    data = search_data(numbered(), protocol(f"data.split={split}"), 3, CPU)
    train, valid = seen(data.train), seen(data.valid)
    assert len(train) == len(valid) == 20
    assert len(set(train) | set(valid)) == 40
    assert data.train.labels.tolist() == [image % 10 for image in train]


def test_only_a_random_split_depends_on_the_seed() -> None:
    def train(split: str, seed: int) -> list[int]:
        return seen(search_data(numbered(), protocol(f"data.split={split}"), seed, CPU).train)

    assert train("random", 0) == train("random", 0) != train("random", 1)
    assert train("fixed", 0) == train("fixed", 1)
    assert train("halves", 0) == list(range(20))


def test_fewer_images_can_be_asked_for_and_more_are_refused() -> None:
    assert len(search_data(numbered(), protocol("data.images=10"), 0, CPU).train) == 5
    with pytest.raises(HarnessError, match=r"data\.images is 42, but numbered has 41.*--set data\.images=41"):
        search_data(numbered(), protocol("data.images=42"), 0, CPU)


def test_images_are_average_pooled_and_only_by_whole_factors() -> None:
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    assert shrink(image, 2)[0, 0].tolist() == [[2, 4], [10, 12]]  # 2.5, 4.5, 10.5, 12.5, rounded half to even
    with pytest.raises(
        HarnessError, match=r"data\.image_size=12 does not divide the 8 pixels of numbered; it can be 4, 8"
    ):
        search_data(numbered(), protocol("data.image_size=12"), 0, CPU)


def test_batches_are_normalised_by_the_images_the_search_sees() -> None:
    data = search_data(numbered(), protocol(), 0, CPU)
    everything = torch.cat([batch.images for half in (data.train, data.valid) for batch in half.in_order()])
    assert everything.mean().item() == pytest.approx(0, abs=1e-5)
    assert everything.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert everything.dtype == torch.float32


def test_constant_images_stay_finite() -> None:
    black = TrainingSet(
        "black", torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.zeros(8, dtype=torch.long), 2, "", ""
    )
    batch = next(search_data(black, protocol("data.image_size=4"), 0, CPU).train.in_order())
    assert bool(batch.images.isfinite().all())


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    train = search_data(numbered(), protocol(), 0, CPU).train
    order, augmentation = stream(0, "order"), stream(0, "augmentation")

    def epoch() -> list[int]:
        batches = list(train.shuffled(order, augmentation))
        assert [len(batch.labels) for batch in batches] == [8, 8, 4]
        assert len(batches) == train.batches
        pixels = torch.cat([batch.images for batch in batches])[:, 0, 0, 0]
        images = (pixels * train.sd[0, 0, 0] + train.mean[0, 0, 0]).round().int().tolist()
        assert torch.cat([batch.labels for batch in batches]).tolist() == [image % 10 for image in images]
        return list(images)

    first, second = epoch(), epoch()
    assert sorted(first) == sorted(second) == sorted(seen(train))
    assert first != second


def test_random_crop_against_a_plain_one() -> None:
    images = torch.randint(256, (6, 3, 5, 5), dtype=torch.uint8, generator=stream(0, "images"))
    found = random_crop(images, 2, stream(0, "crop"))
    offsets = torch.randint(5, (2, 6, 1), generator=stream(0, "crop")).squeeze(2)
    for image, cut, top, left in zip(images, found, *offsets.tolist(), strict=True):
        padded = torch.zeros(3, 9, 9, dtype=torch.uint8)
        padded[:, 2:7, 2:7] = image
        assert torch.equal(cut, padded[:, top : top + 5, left : left + 5])
    assert found.is_contiguous()


def test_random_crop_reaches_every_place_and_flip_half_of_the_images() -> None:
    point = torch.zeros(4000, 1, 5, 5, dtype=torch.uint8)
    point[:, :, 2, 2] = 1
    places = random_crop(point, 2, stream(1, "crop")).flatten(1).argmax(1)
    counts = places.bincount(minlength=25)
    assert counts.min() > 100  # 160 expected
    left = torch.zeros(1000, 1, 1, 2, dtype=torch.uint8)
    left[..., 0] = 1
    flipped: Tensor = random_flip(left, stream(1, "flip"))
    assert 400 < int(flipped[..., 1].sum()) < 600
    assert bool((flipped.sum(3) == 1).all())
