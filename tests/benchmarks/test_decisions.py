from __future__ import annotations

import fnmatch
import re

import pytest

from portal.core.cam.decision import AccessRequest, NamedPolicy, decide
from portal.core.cam.presets import presets

pytestmark = pytest.mark.benchmark


def test_a_decision_over_ten_preset_policies(compare) -> None:  # type: ignore[no-untyped-def]
    """Floor: one compiled regular expression per action pattern, nothing else."""
    chosen = [preset for preset in presets() if preset.name.endswith("ReadOnlyAccess")][:10]
    policies = [NamedPolicy(preset.name, "System", preset.policy) for preset in chosen]
    patterns = [
        re.compile(fnmatch.translate(action), re.IGNORECASE)
        for preset in chosen
        for action in re.findall(r'"([a-z0-9]+:[A-Za-z*]+)"', preset.document)
    ]
    request = AccessRequest("cvm:RunInstances", "*", 100000000001)
    compare(
        f"decision, 10 policies, {len(patterns)} action patterns",
        lambda: decide(policies, request),
        lambda: [pattern for pattern in patterns if pattern.match("cvm:RunInstances")],
    )
