"""All tables, imported in one place so that migrations and tests see the whole schema."""

from portal.core import audit
from portal.core.access import models as access
from portal.core.cam import models as cam
from portal.core.database import Base
from portal.core.directory import models as directory
from portal.core.drift import models as drift
from portal.core.federation import models as federation
from portal.core.guardrails import models as guardrails
from portal.core.organization import models as organization
from portal.core.push import models as push
from portal.core.space import models as space

__all__ = [
    "Base",
    "access",
    "audit",
    "cam",
    "directory",
    "drift",
    "federation",
    "guardrails",
    "organization",
    "push",
    "space",
]
