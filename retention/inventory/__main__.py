"""``python -m retention.inventory`` prints docs/data-map.md."""

import sys

from retention.inventory.page import data_map

sys.stdout.write(data_map())
