"""The `portal` command whose workers look around more often, so that what a kill left behind is found soon."""

from __future__ import annotations

from portal.cli import main
from portal.worker import embedded

embedded.SWEEP_SECONDS = 0.5

if __name__ == "__main__":
    main()
