"""How methods are drawn."""

from __future__ import annotations

from typing import Any

from tfticket.report.canvas import LIGHT
from tfticket.report.noisy.cells import Study

_STYLES = {
    "cross_entropy": ("orange", "s"),
    "coteaching": ("blue", "o"),
    "incv": ("green", "^"),
    "jocor": ("purple", "v"),
    "coteaching_plus": ("sky", "P"),
    "decoupling": ("amber", "D"),
    "gce": ("level1", "X"),
    "forward": ("level5", "h"),
}
_OTHERS = (("muted", "*"), ("ink", "<"), ("level3", ">"), ("level2", "p"))


def method_styles(study: Study) -> dict[str, dict[str, Any]]:
    """Label to color and marker: the usual ones' are fixed, the same within a run."""
    styles: dict[str, dict[str, Any]] = {}
    free = list(_OTHERS)
    for cell in study.cells:
        kind, label = cell.method_kind, cell.method
        if label in styles:
            continue
        usual = _STYLES.get(kind)
        taken = {(style["color"], style["marker"]) for style in styles.values()}
        if usual is None or (LIGHT[usual[0]], usual[1]) in taken:
            usual = free.pop(0)
            free.append(usual)
        styles[label] = {"color": LIGHT[usual[0]], "marker": usual[1]}
    return styles
