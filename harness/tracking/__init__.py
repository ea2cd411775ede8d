"""MLflow mirrors run folders: live while a study runs (:class:`Mirror`), or later (:func:`deliver`, ``harness sync``).

The folders are the truth. A broken or unreachable MLflow delays the mirror; it never stops or slows a search.
MLflow itself takes seconds to import and is imported only where it is used.
"""

from __future__ import annotations

from harness.tracking.delivery import deliver
from harness.tracking.mirror import Mirror
from harness.tracking.redact import masked, shown
from harness.tracking.store import Store, TrackingError, connect, tracking_uri

__all__ = ["Mirror", "Store", "TrackingError", "connect", "deliver", "masked", "shown", "tracking_uri"]
