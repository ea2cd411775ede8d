"""ImageNet-16-120 in its official format, made by hand and small, and whatever its pickles may hold."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.data.imagenet16 import read_batches
from harness.data.training_set import load_training_set
from harness.errors import HarnessError
from tests.support.data_files import IMAGENET16, batch, failure, publish, sha256, store


class Runs:
    """Makes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class TestImageNet16:
    def load(self, monkeypatch: pytest.MonkeyPatch, folder: Path, files: list[bytes], images: int) -> Any:
        contents = {f"train_data_batch_{number}": content for number, content in enumerate(files, 1)}
        publish(monkeypatch, IMAGENET16, contents, images)
        return load_training_set("imagenet16-120", store(folder, contents))

    def refusal(self, monkeypatch: pytest.MonkeyPatch, folder: Path, file: bytes, images: int = 1) -> str:
        with pytest.raises(HarnessError) as caught:
            self.load(monkeypatch, folder, [file], images)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("protocol", [2, 3])
    @pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
    def test_first_120_classes_of_all_files(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: int, module: bytes
    ) -> None:
        files = [pickle.dumps(batch(labels), protocol) for labels in ([1, 121, 120], [1000, 7])]
        files = [
            file.replace(b"numpy._core.multiarray", module).replace(b"numpy.core.multiarray", module) for file in files
        ]
        loaded = self.load(monkeypatch, tmp_path / "ImageNet16", files, images=3)
        assert loaded.labels.tolist() == [0, 119, 6]
        assert loaded.images[:, 0, 0, 0].tolist() == [0, 2, 1]
        assert loaded.images.shape == (3, 3, 16, 16)
        assert (loaded.images.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
        assert (loaded.classes, loaded.warning) == (120, "")

    def test_channel_by_channel_row_by_row(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pixels = np.zeros((1, 3, 16, 16), np.uint8)
        pixels[0, 2, 1, 4] = 5
        loaded = self.load(monkeypatch, tmp_path, [pickle.dumps(batch([3], pixels.reshape(1, 768)))], images=1)
        assert loaded.images.nonzero().tolist() == [[0, 2, 1, 4]]

    def test_pickles_of_python_2(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """They hold the pixels as text of one byte a character, which is read as Latin-1."""
        file = pickle.dumps(batch([3], np.full((1, 768), 200, np.uint8)), 3)
        content = b"\xc8" * 768
        size = len(content).to_bytes(4, "little")
        old = file.replace(b"B" + size + content, b"T" + size + content)  # BINBYTES to BINSTRING
        assert old != file
        loaded = self.load(monkeypatch, tmp_path, [old], images=1)
        assert loaded.images.unique().tolist() == [200]

    def test_absent_is_never_downloaded(self, tmp_path: Path) -> None:
        message = failure("imagenet16-120", tmp_path, download=True)
        for part in (str(tmp_path / "ImageNet16"), "train_data_batch_10", IMAGENET16.page, "HARNESS_DATA_DIR"):
            assert part in message

    def test_nothing_in_a_hostile_pickle_runs(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        made = tmp_path / "made"
        message = self.refusal(monkeypatch, tmp_path / "data", pickle.dumps(batch([1], extra=Runs(made))))
        assert "mkdir" in message
        assert not made.exists()

    @pytest.mark.parametrize(
        "content",
        [
            batch([1], np.full((1, 768), None)),
            batch([1], np.zeros((1, 768), np.int8)),
            batch([1], np.zeros((1, 192), np.float32)),
            batch([1], np.zeros((1, 3072), np.uint8)),
            batch([1], np.zeros(768, np.uint8)),
            batch([1, 500], np.asfortranarray(np.zeros((2, 768), np.uint8))),
            batch([1], [[0] * 768]),
            batch([1, 2], np.zeros((1, 768), np.uint8)),
            batch([0]),
            batch([1001]),
            batch([1.0]),
            batch(np.array([1])),
            {"data": np.zeros((1, 768), np.uint8)},
            [1, 2, 3],
        ],
    )
    def test_other_content_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: Any) -> None:
        assert "train_data_batch_1" in self.refusal(monkeypatch, tmp_path, pickle.dumps(content, 3))

    def test_cut_short(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert "damaged" in self.refusal(monkeypatch, tmp_path, pickle.dumps(batch([1]))[:-100])

    def test_another_number_of_images(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert "hold 2 images" in self.refusal(monkeypatch, tmp_path, pickle.dumps(batch([1, 2, 500])), images=3)

    values = st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3) | st.just(np.zeros((1, 768), np.uint8)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "labels"]), inner),
        max_leaves=6,
    )

    @given(st.fixed_dictionaries({}, optional={"data": values, "labels": values}) | values)
    def test_whatever_a_pickle_holds_there_is_one_kind_of_error(
        self, tmp_path_factory: pytest.TempPathFactory, content: Any
    ) -> None:
        file = pickle.dumps(content, 3)
        folder = store(tmp_path_factory.mktemp("batches"), {"batch": file})
        info = replace(IMAGENET16, training_files={"batch": sha256(file)}, training_images=1)
        try:
            images, labels, _ = read_batches(info, folder, info.training_files, info.training_images)
        except HarnessError:
            return
        assert images.shape == (1, 3, 16, 16)
        assert images.dtype == np.uint8
        assert 0 <= labels.item() < 120
