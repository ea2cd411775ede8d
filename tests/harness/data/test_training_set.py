"""Data sets as a user has them on disk: official formats, made by hand and small, and everything that can be wrong."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.data.cifar import read_records
from harness.data.digits import held_out
from harness.data.files import locate
from harness.data.info import DATASETS, DatasetInfo
from harness.data.training_set import data_directory, load_training_set, names
from harness.errors import HarnessError
from harness.retraining.test_set import load_test_set
from tests.support.data_files import CIFAR10, CIFAR100, EACH, IMAGENET16, batch, failure, publish, record, sha256, store
from tests.support.paths import ROOT, printed


class TestCatalogue:
    def test_listing_data_sets_imports_neither_torch_nor_numpy(self) -> None:
        code = "import sys; from harness.data.training_set import names; "
        code += "print(names(), {'torch', 'numpy', 'pooch'} & set(sys.modules))"
        assert printed(code) == f"{names()} set()"

    def test_unknown_name_lists_the_valid_ones(self, tmp_path: Path) -> None:
        message = failure("cifar-10", tmp_path)
        assert "did you mean 'cifar10'" in message
        assert all(name in message for name in names())

    def test_directory_is_as_given_else_the_variable_else_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
        assert data_directory(None) == Path("data")
        monkeypatch.setenv("HARNESS_DATA_DIR", "elsewhere")
        assert data_directory(None) == Path("elsewhere")
        assert data_directory("here") == Path("here")


class TestDigits:
    def test_every_image_of_scikit_learn_once_in_its_order(self) -> None:
        from sklearn.datasets import load_digits

        original = load_digits()
        exact = torch.nn.functional.interpolate(
            torch.from_numpy(original.images)[:, None] * (255 / 16), scale_factor=4, mode="bilinear"
        )
        info, test = DATASETS["digits"], held_out(len(original.target))
        for digits, part, count in (
            (load_training_set("digits"), ~test, info.training_images),
            (load_test_set("digits"), test, info.test_images),
        ):
            assert digits.images.shape == (count, 3, 32, 32)
            assert (digits.images.dtype, digits.labels.dtype) == (torch.uint8, torch.int64)
            assert (digits.classes, digits.warning) == (10, "")
            assert np.array_equal(digits.labels.numpy(), original.target[part])
            assert torch.equal(digits.images[:, 0], digits.images[:, 1])
            assert torch.equal(digits.images[:, 0], digits.images[:, 2])
            assert (digits.images[:, :1] - exact[torch.from_numpy(part)]).abs().max() <= 0.5 + 1e-9
            assert (digits.images.min().item(), digits.images.max().item()) == (0, 255)

    def test_no_image_is_in_both_parts_and_every_class_is(self) -> None:
        training, test = load_training_set("digits"), load_test_set("digits")
        assert not {image.numpy().tobytes() for image in test.images} & {
            image.numpy().tobytes() for image in training.images
        }
        assert torch.bincount(test.labels).min() >= 27  # of about 36
        assert len(test.labels) + len(training.labels) == 1797

    def test_digests_are_the_same_on_every_machine(self) -> None:
        digest = load_training_set("digits").digest
        assert digest == "20059f1d64e41c418e1584c43d058dc17173c98372c07aac9793df8eb5af7bc3"
        digest = load_test_set("digits").digest
        assert digest == "e18682e43afc4882dcdf74d17e7fadcfb3dad5d227a9573bd445070fd4669229"


class TestCifar:
    @pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "."])
    def test_images_and_labels_file_by_file(
        self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes], folder: str
    ) -> None:
        store(tmp_path / folder, contents)
        loaded = load_training_set("cifar10", tmp_path, download=False)
        assert loaded.images.shape == (20, 3, 32, 32)
        assert (loaded.images.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
        assert loaded.labels.tolist() == [file + i for file in range(5) for i in range(4)]
        assert loaded.images[:, 0, 31, 0].tolist() == list(range(20))
        assert loaded.images[7, 1].unique().tolist() == [2]
        assert loaded.images[7, 2].unique().tolist() == [3]
        assert (loaded.name, loaded.classes, loaded.warning) == ("cifar10", 10, "")

    def test_rows_then_columns(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pixels = np.zeros((3, 32, 32), np.uint8)
        pixels[1, 2, 5] = 77
        contents = {"one.bin": b"\x09" + pixels.tobytes()}
        publish(monkeypatch, CIFAR10, contents, 1)
        loaded = load_training_set("cifar10", store(tmp_path, contents), download=False)
        assert loaded.images.nonzero().tolist() == [[0, 1, 2, 5]]

    def test_cifar100_takes_the_fine_label(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        contents = {"train.bin": record(bytes([4, 71]), red=9) + record(bytes([19, 99]))}
        publish(monkeypatch, CIFAR100, contents, 2)
        store(tmp_path / "cifar-100-binary", contents)
        loaded = load_training_set("cifar100", tmp_path, download=False)
        assert loaded.labels.tolist() == [71, 99]
        assert loaded.images[:, :, 0, 0].tolist() == [[9, 2, 3], [1, 2, 3]]
        assert (loaded.classes, loaded.warning) == (100, "")

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**32 - 1)), min_size=1, max_size=4))
    def test_every_record_comes_back(
        self, tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, int]]
    ) -> None:
        images = np.stack([np.random.default_rng(seed).integers(0, 256, (3, 32, 32), np.uint8) for _, seed in made])
        content = b"".join(bytes([label]) + image.tobytes() for (label, _), image in zip(made, images, strict=True))
        folder = store(tmp_path_factory.mktemp("records"), {"batch": content})
        read, labels, others = read_records(CIFAR10, folder, {"batch": sha256(content)}, len(made))
        assert np.array_equal(read, images)
        assert labels.tolist() == [label for label, _ in made]
        assert others == []

    def test_digest_is_of_the_content(self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]) -> None:
        store(tmp_path, contents)
        loaded = load_training_set("cifar10", tmp_path, download=False)
        expected = hashlib.sha256(loaded.images.numpy().tobytes() + loaded.labels.numpy().tobytes())
        assert loaded.digest == expected.hexdigest()

    def test_other_files_than_published_are_used_with_a_warning(
        self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]
    ) -> None:
        store(tmp_path, contents)
        published = load_training_set("cifar10", tmp_path, download=False)
        contents["data_batch_2.bin"] = contents["data_batch_2.bin"][:-1] + b"\x63"
        store(tmp_path, contents)
        loaded = load_training_set("cifar10", tmp_path, download=False)
        assert loaded.images[7, 2, 31, 31] == 99
        assert loaded.digest != published.digest
        assert "1 of the 5 files" in loaded.warning
        assert loaded.digest[:12] in loaded.warning
        assert "\n" not in loaded.warning

    def test_absent(self, tmp_path: Path) -> None:
        message = failure("cifar10", tmp_path)
        for part in (str(tmp_path / "cifar-10-batches-bin"), "https://", "--data-dir", "HARNESS_DATA_DIR"):
            assert part in message

    def test_some_files_missing_is_said_and_not_repaired(
        self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]
    ) -> None:
        folder = store(tmp_path / cifar10.folder, contents)
        (folder / "data_batch_3.bin").unlink()
        message = failure("cifar10", tmp_path, download=True)
        assert "data_batch_3.bin" in message
        assert "data_batch_2.bin" not in message

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda content: content[:-1], "12,291 bytes where 12,292 are expected"),
            (lambda content: content + b"\x00", "12,293 bytes where 12,292 are expected"),
            (lambda content: b"", "0 bytes"),
            (lambda content: content[:3073] + b"\x0a" + content[3074:], "gives record 1 the label 10"),
        ],
        ids=["cut short", "too long", "empty", "label"],
    )
    def test_damaged_file(
        self,
        tmp_path: Path,
        cifar10: DatasetInfo,
        contents: dict[str, bytes],
        change: Callable[[bytes], bytes],
        expected: str,
    ) -> None:
        contents["data_batch_4.bin"] = change(contents["data_batch_4.bin"])
        message = failure("cifar10", store(tmp_path, contents))
        assert str(tmp_path / "data_batch_4.bin") in message
        assert expected in message

    def test_unreadable_file(self, tmp_path: Path, cifar10: DatasetInfo, contents: dict[str, bytes]) -> None:
        store(tmp_path, contents)
        (tmp_path / "data_batch_1.bin").unlink()
        (tmp_path / "data_batch_1.bin").mkdir()
        assert f"cannot read {tmp_path / 'data_batch_1.bin'}" in failure("cifar10", tmp_path)

    def test_the_real_one(self) -> None:
        directories = [Path(os.environ.get("HARNESS_DATA_DIR") or "absent"), ROOT.parent / "shared" / "data"]
        folder = next((found for directory in directories if (found := locate(CIFAR10, directory))), None)
        if folder is None:
            pytest.skip("no CIFAR-10 in HARNESS_DATA_DIR or ../shared/data")
        loaded = load_training_set("cifar10", folder, download=False)
        assert loaded.images.shape == (50_000, 3, 32, 32)
        assert torch.bincount(loaded.labels).tolist() == [5000] * 10
        means = [loaded.images[:, channel].double().mean().item() for channel in range(3)]
        assert means == pytest.approx([125.3, 123.0, 113.9], abs=0.5)  # published: 125.307, 122.950, 113.865
        digests = {name: sha256((folder / name).read_bytes()) for name in CIFAR10.training_files}
        assert bool(loaded.warning) == (digests != CIFAR10.training_files)
        assert torch.bincount(load_test_set("cifar10", folder, download=False).labels).tolist() == [1000] * 10


class TestTestSets:
    """The test images of the data sets that come in files."""

    def test_cifar10(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cifar10: DatasetInfo) -> None:
        batch = record(b"\x03", red=7) + record(b"\x09", red=8)
        monkeypatch.setitem(
            DATASETS, "cifar10", replace(cifar10, test_images=2, test_files={"test_batch.bin": sha256(batch)})
        )
        store(tmp_path, {name: record(b"\x00") * EACH for name in cifar10.training_files})
        with pytest.raises(HarnessError, match=r"lacks the test set of cifar10: test_batch\.bin missing; add"):
            load_test_set("cifar10", tmp_path, download=False)
        store(tmp_path, {"test_batch.bin": batch})
        loaded = load_test_set("cifar10", tmp_path, download=False)
        assert loaded.labels.tolist() == [3, 9]
        assert loaded.images[:, 0, 0, 0].tolist() == [7, 8]
        assert loaded.warning == ""
        store(tmp_path, {"test_batch.bin": record(b"\x03", red=6) + batch[3073:]})
        changed = load_test_set("cifar10", tmp_path, download=False)
        assert changed.digest != loaded.digest
        assert "1 of the 1 test files of cifar10" in changed.warning

    def test_imagenet16_takes_the_validation_images_of_its_classes(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        contents = {"train_data_batch_1": pickle.dumps(batch([1])), "val_data": pickle.dumps(batch([5, 121, 120]))}
        files = {"val_data": sha256(contents["val_data"])}
        info = replace(publish(monkeypatch, IMAGENET16, {"train_data_batch_1": contents["train_data_batch_1"]}, 1))
        monkeypatch.setitem(DATASETS, info.name, replace(info, test_files=files, test_images=2))
        loaded = load_test_set(info.name, store(tmp_path, contents))
        assert loaded.labels.tolist() == [4, 119]
        assert loaded.images[:, 0, 0, 0].tolist() == [0, 2]

    def test_absent_and_unknown(self, tmp_path: Path) -> None:
        for name, message in (("cifar100", "cifar100 is neither in"), ("mnist", "unknown dataset 'mnist'")):
            with pytest.raises(HarnessError, match=message):
                load_test_set(name, tmp_path, download=False)
