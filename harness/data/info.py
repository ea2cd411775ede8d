"""The data sets there are: what they hold, who published them, and how to tell the published files from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Archive:
    """The published archive of a data set, a gzipped tar.

    Attributes:
        md5: of the archive, as its page gives it.
        members: names of the files that are wanted of it, all in :attr:`DatasetInfo.folder`.
    """

    url: str
    md5: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class DatasetInfo:
    """A data set.

    Attributes:
        summary: one line.
        image_size: height and width as loaded, pixels.
        training_images: number of them.
        test_images: number of them; disjoint from the training images.
        source: citation and licence.
        page: where it is described and can be had.
        folder: its folder in the data directory; empty where it needs no files.
        training_files: the digest, as ``algorithm:hexadecimal``, of each published file of training images.
        test_files: likewise of test images.
        archive: what is downloaded where the files are missing; None where that must be done by hand.
    """

    name: str
    summary: str
    classes: int
    image_size: int
    training_images: int
    test_images: int
    source: str
    page: str
    folder: str = ""
    training_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    test_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    archive: Archive | None = field(default=None, repr=False)


KRIZHEVSKY = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; no licence is stated"

DIGITS = DatasetInfo(
    name="digits",
    summary="scikit-learn's handwritten digits, 1,438 for training and 359 for testing, 8x8 made 32x32; no download",
    classes=10,
    image_size=32,
    training_images=1438,
    test_images=359,
    source="Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part); CC BY 4.0",
    page="https://doi.org/10.24432/C50P49",
)

# Digests of the files here and below: ankane/torchvision-ruby, which checks them after each download.
CIFAR10 = DatasetInfo(
    name="cifar10",
    summary="CIFAR-10: 50,000 training images, 32x32, 10 classes; downloaded where missing (170 MB)",
    classes=10,
    image_size=32,
    training_images=50_000,
    test_images=10_000,
    source=KRIZHEVSKY,
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    folder="cifar-10-batches-bin",
    training_files={
        "data_batch_1.bin": "sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    test_files={"test_batch.bin": "sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
    archive=Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        members=(*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
    ),
)

CIFAR100 = DatasetInfo(
    name="cifar100",
    summary="CIFAR-100: 50,000 training images, 32x32, 100 classes (fine labels); downloaded where missing (169 MB)",
    classes=100,
    image_size=32,
    training_images=50_000,
    test_images=10_000,
    source=KRIZHEVSKY,
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    folder="cifar-100-binary",
    training_files={"train.bin": "sha256:f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"},
    test_files={"test.bin": "sha256:d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"},
    archive=Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        members=("train.bin", "test.bin"),
    ),
)

# Digests of the files: D-X-Y/AutoDL-Projects, DownsampledImageNet.py (MD5), the code of NAS-Bench-201's authors.
IMAGENET16_120 = DatasetInfo(
    name="imagenet16-120",
    summary="ImageNet16-120 of NAS-Bench-201: 151,700 training images, 16x16, 120 classes; its files are got by hand",
    classes=120,
    image_size=16,
    training_images=151_700,
    test_images=6_000,
    source="Chrabaszcz, Loshchilov & Hutter, arXiv:1707.08819, classes as in Dong & Yang, ICLR 2020; ImageNet's terms",
    page="https://github.com/D-X-Y/NAS-Bench-201",
    folder="ImageNet16",
    training_files={
        "train_data_batch_1": "md5:27846dcaa50de8e21a7d1a35f30f0e91",
        "train_data_batch_2": "md5:c7254a054e0e795c69120a5727050e3f",
        "train_data_batch_3": "md5:4333d3df2e5ffb114b05d2ffc19b1e87",
        "train_data_batch_4": "md5:1620cdf193304f4a92677b695d70d10f",
        "train_data_batch_5": "md5:348b3c2fdbb3940c4e9e834affd3b18d",
        "train_data_batch_6": "md5:6e765307c242a1b3d7d5ef9139b48945",
        "train_data_batch_7": "md5:564926d8cbf8fc4818ba23d2faac7564",
        "train_data_batch_8": "md5:f4755871f718ccb653440b9dd0ebac66",
        "train_data_batch_9": "md5:bb6dd660c38c58552125b1a92f86b5d4",
        "train_data_batch_10": "md5:8f03f34ac4b42271a294f91bf480f29b",
    },
    # All of its images of the 120 classes. NAS-Bench-201 validates on one half of them and tests on the other.
    test_files={"val_data": "md5:3410e3017fdaefba8d5073aaa65e4bd6"},
)

DATASETS = {info.name: info for info in (DIGITS, CIFAR10, CIFAR100, IMAGENET16_120)}
"""All data sets by name."""
