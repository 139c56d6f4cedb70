"""How much longer than on an idle machine a test waits until it gives up: other tests run beside it.

What a test waits for is looked at again and again, so patience costs time only where a test fails.
"""

from __future__ import annotations

import os

PATIENCE = 3.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
