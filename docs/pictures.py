"""Make the pictures of "Getting started" from the study that its commands made: python docs/pictures.py runs/quick."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

PICTURES = {"accuracy-over-epochs": "quick-accuracy", "alpha-heatmaps": "quick-alpha"}
"""Figures of the report, and what they are called here."""

WIDTH, COLORS = 1200, 256
"""Pixels across, and colours of the palette: both keep the files small."""


def main() -> None:
    """Copy the figures of a study's report, made small."""
    figures = Path(sys.argv[1]) / "report" / "figures"
    for figure, name in PICTURES.items():
        with Image.open(figures / f"{figure}.png") as image:
            small = image.convert("RGB").resize((WIDTH, WIDTH * image.height // image.width), Image.Resampling.LANCZOS)
        small.quantize(COLORS, dither=Image.Dither.NONE).save(Path(__file__).with_name(f"{name}.png"), optimize=True)


if __name__ == "__main__":
    main()
