"""How long metadata is good for, as it says itself (saml-metadata-2.0-os, 4.3)."""

from __future__ import annotations

import calendar
from contextlib import suppress
from datetime import UTC, datetime

from onelogin.saml2.utils import OneLogin_Saml2_Utils

from saml import xml
from saml.errors import SamlError

_PARTS = ("EntitiesDescriptor", "EntityDescriptor", "IDPSSODescriptor")


def read_again_by(document: bytes | str, *, now: datetime) -> datetime | None:
    """The earliest end of any validUntil and cacheDuration in it; None when it says nothing that can be read."""
    try:
        root = xml.parse(document.encode() if isinstance(document, str) else document, comments=True)
    except SamlError:
        return None
    found = []
    for element in root.iter(*(xml.tag(f"md:{name}") for name in _PARTS)):
        with suppress(Exception):  # a time of nonsense says nothing
            found.append(xml.read_time(str(element.attrib["validUntil"])))
        with suppress(Exception):  # a duration of nonsense, or one that ends after the year 9999
            since = calendar.timegm(now.astimezone(UTC).utctimetuple())
            ends = OneLogin_Saml2_Utils.parse_duration(str(element.attrib["cacheDuration"]), since)
            found.append(datetime.fromtimestamp(ends, UTC))
    return min(found, default=None)
