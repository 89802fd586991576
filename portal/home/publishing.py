"""Our metadata, for whoever sets up the other side: as service provider, and as identity provider of accounts."""

from __future__ import annotations

from flask import Response, request

from portal import addresses
from portal.core.federation import saml_keys
from portal.core.space import queries
from portal.home import blueprint
from portal.home.trusting import settings
from portal.parties import our_side
from portal.web.permissions import Permission, requires
from portal.web.transactions import db
from saml.metadata import service_provider_metadata


@blueprint.get("/saml/<space>/metadata")
@requires(Permission.PUBLIC)
def metadata(space: str) -> Response:
    found = queries.find(db(), space)
    provider = our_side(db(), found, settings())
    return _document(service_provider_metadata(provider), f"{found.name}-service-provider.xml")


@blueprint.get("/saml/<space>/idp-metadata")
@requires(Permission.PUBLIC)
def idp_metadata(space: str) -> Response:
    """What is deployed into accounts, for those who want to compare it."""
    found = queries.find(db(), space)
    certificates = saml_keys.certificates(db(), found)
    document = addresses.issuer_metadata(settings().base_url, found.name, certificates)
    return _document(document, f"{found.name}-identity-provider.xml")


def _document(xml: str, name: str) -> Response:
    response = Response(xml, content_type="application/samlmetadata+xml; charset=utf-8")
    if "download" in request.args:
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
