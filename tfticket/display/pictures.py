"""Arrays drawn as images."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from tfticket.display.charts import Figure, rows
from tfticket.display.palette import css


def picture(shares: np.ndarray, *, width: float, height: float) -> Figure:
    """Draw an array as an image: the higher the value, the more opaque.

    Args:
        shares: Shape (height, width), in [0, 1]; non-finite values are transparent.
        width: Width on the page in pixels.
        height: Height on the page in pixels.
    """
    known = np.isfinite(shares)
    amount = np.where(known, np.clip(np.nan_to_num(shares), 0, 1), 0)[..., None]
    faint, half, full = np.array([[62, 135, 199, 0], [62, 135, 199, 140], [26, 107, 184, 255]])
    colors = np.where(
        amount < 0.5, faint + 2 * amount * (half - faint), half + (2 * amount - 1) * (full - half)
    )
    file = io.BytesIO()
    Image.fromarray(colors.round().astype(np.uint8)).save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    mark = {"type": "image", "width": width, "height": height, "aspect": False, "smooth": False}
    return {
        "data": {"values": rows(url=[address])},
        "mark": mark,
        "encoding": {
            "url": {"field": "url"}, "x": {"value": width / 2}, "y": {"value": height / 2}
        },
    }  # fmt: skip


def framed(shares: np.ndarray, *, width: float, height: float, title: str, x: str = "", y: str = ""
           ) -> Figure:  # fmt: skip
    """Draw an image in a frame, scaled to its maximum, with a label below and at the left."""
    top = float(np.nanmax(shares)) if np.isfinite(shares).any() else 0.0
    word = {"type": "text", "color": css("muted"), "fontSize": 8.5}
    words = [
        {"data": {"values": [{}]}, "mark": {**word, **place}}
        for place in (
            {"text": x, "x": width / 2, "y": height + 10},
            {"text": y, "x": -10, "y": height / 2, "angle": 270},
        )
        if place["text"]
    ]
    return {
        "layer": [picture(shares / (top or 1.0), width=width, height=height), *words],
        "width": width, "height": height, "title": title, "view": {"stroke": css("line")},
    }  # fmt: skip
