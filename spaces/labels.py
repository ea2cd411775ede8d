"""Names of operations for tables and figures."""

from __future__ import annotations

_LABELS = {
    "skip_connect": "skip",
    "nor_conv_3x3": "conv 3×3",
    "nor_conv_1x1": "conv 1×1",
    "avg_pool_3x3": "avg pool",
    "max_pool_3x3": "max pool",
    "sep_conv_3x3": "sep 3×3",
    "sep_conv_5x5": "sep 5×5",
    "dil_conv_3x3": "dil 3×3",
    "dil_conv_5x5": "dil 5×5",
}


def operation_label(operation: str) -> str:
    """Return an operation's short name for print; an unknown operation keeps its own, with spaces."""
    return _LABELS.get(operation, operation.replace("_", " "))
