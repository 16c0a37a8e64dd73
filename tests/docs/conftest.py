"""What the tests of the documentation share."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("tools", "tools/site"):
    if str(ROOT / folder) not in sys.path:
        sys.path.append(str(ROOT / folder))
