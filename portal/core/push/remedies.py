"""Which errors of a push are put right how and where (IC-7): a table, read by `advice` from above.

Special errors stand above the rule for their whole kind. A test finds every error that SCIM raises a rule.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Place(enum.StrEnum):
    """A page of the console where it can be done."""

    SCIM = "scim"
    SCIM_SWITCH = "scim switch"
    NEW_CREDENTIAL = "new credential"
    USER = "user"
    GROUP = "group"
    USERS = "users"


@dataclass(frozen=True)
class Rule:
    status: int
    text: str
    kind: str = ""
    pattern: str = ""
    place: Place | None = None

    def fits(self, status: int, scim_type: str, detail: str) -> bool:
        typed = not self.kind or self.kind == scim_type
        return self.status == status and typed and bool(re.search(self.pattern, detail, re.DOTALL))


_ADOPT = (
    "It was made by hand in the console, and a push never takes such an object over silently. Open its page and hand "
    "it over to SCIM, or delete or rename it, or leave it out of the push at the identity provider; then let the "
    "identity provider try again."
)
_MAPPING = "Look at the attribute mapping of the identity provider"
_ASK_CLIENT = (
    "The identity provider's SCIM client sent what the protocol does not allow. Check its SCIM settings and version "
    "(SCIM 2.0, base URL ending in /scim/v2); if they are right, give its maker this request from the log."
)
RULES = (
    Rule(409, _ADOPT, pattern=r"source Manual", place=Place.USER),
    Rule(
        409,
        "Another pushed object has this e-mail address. Open it to see which; then correct the address of one of the "
        "two at the identity provider, or map another attribute to emails.",
        kind="uniqueness",
        pattern=r"^emails:",
        place=Place.USER,
    ),
    Rule(
        409,
        "It was pushed before. Usually the identity provider has lost track of it: restart provisioning there (clear "
        "its state), and it will find the object by its name and update it. Two people need two different names.",
        kind="uniqueness",
        place=Place.USER,
    ),
    Rule(
        409,
        "The user belongs to this group through the nested group named here. Take the user out of that group at the "
        "identity provider, or that group out of this one.",
        pattern=" through ",
    ),
    Rule(409, "The operations of this bulk request need each other in a circle. " + _ASK_CLIENT, pattern="circle"),
    Rule(
        409,
        "Two changes came at the same moment. The identity provider tries again by itself; if it does not, start "
        "provisioning there once more.",
        pattern="Somebody",
    ),
    Rule(
        401,
        "An access token ends by itself, and the identity provider gets the next one with its client secret. If it "
        "does not, check the token endpoint, client ID and client secret there, and that it may reach the endpoint.",
        pattern="access token has expired",
        place=Place.SCIM,
    ),
    Rule(
        401,
        "The secret belongs to client credentials: enter it as client secret, with client ID and token endpoint, where "
        "the identity provider asks for OAuth 2.0. If it takes a bearer token only, create a credential of that type.",
        pattern="client secret",
        place=Place.SCIM,
    ),
    Rule(
        401,
        "Create a new credential, enter it at the identity provider, then delete the expired one.",
        pattern="has expired",
        place=Place.NEW_CREDENTIAL,
    ),
    Rule(
        401,
        "Somebody disabled this credential. Enable it again, or enter another one at the identity provider.",
        pattern="is disabled",
        place=Place.SCIM,
    ),
    Rule(401, "Switch SCIM on; until then every push is refused.", pattern="switched off", place=Place.SCIM_SWITCH),
    Rule(
        401,
        "No credential came along. Enter the credential's secret at the identity provider as a bearer token (HTTP "
        "header Authorization). A proxy in front of the portal must let that header through.",
        pattern="is needed",
        place=Place.SCIM,
    ),
    Rule(
        401,
        "Enter the secret of a credential of this space at the identity provider, without blanks around it. A lost "
        "secret cannot be read again: create another credential. If no identity provider of yours has this address, it "
        "is a stranger and was kept out.",
        place=Place.SCIM,
    ),
    Rule(403, _ADOPT, pattern="made by hand", place=Place.USER),
    Rule(
        403,
        "The limit named here is used up. Delete what is no longer needed, push fewer objects, or raise the limit in "
        "the portal's settings ([limits], the name in brackets) and restart it.",
        pattern=r"^The limit of .* is reached",
        place=Place.USERS,
    ),
    Rule(403, "Discovery documents are read whole. " + _ASK_CLIENT, pattern="Discovery documents"),
    Rule(
        400,
        _MAPPING
        + ": userName must be 1 to 64 letters, digits or + = , . @ - _. Map an attribute that has no blanks or "
        "accents, such as the user principal name or the e-mail address.",
        kind="invalidValue",
        pattern="^userName:.*characters",
    ),
    Rule(
        400,
        "Push the member before the group: assign the user to the provisioning application as well. Members that are "
        "unknown here or were made by hand cannot join a pushed group.",
        kind="invalidValue",
        pattern="^members",
    ),
    Rule(
        400,
        _MAPPING + ": the attribute named here has to be mapped to something that every pushed object has.",
        kind="invalidValue",
        pattern="is required",
    ),
    Rule(
        400,
        "An earlier operation of this bulk request, which this one builds on, failed. Solve that one first.",
        kind="invalidValue",
        pattern="bulkId",
    ),
    Rule(
        400,
        _MAPPING
        + " for what is named at the beginning of the error: the value there has the wrong form or is too long. "
        "Map another attribute, shorten it by an expression, or leave it out.",
        kind="invalidValue",
    ),
    Rule(
        400,
        _MAPPING + ": it maps to an attribute that must not be changed or taken away. Leave it out of updates.",
        kind="mutability",
    ),
    Rule(
        400,
        _MAPPING
        + ": the target named here is no attribute of SCIM users or groups, or is written in a way that cannot be "
        "understood. Correct or delete that mapping.",
        kind="invalidPath",
    ),
    Rule(
        400,
        "The change names a part of the object that is not there, such as a work e-mail that it does not have. Let the "
        "identity provider push the whole object again (restart provisioning).",
        kind="noTarget",
        place=Place.USER,
    ),
    Rule(
        400,
        "Look at the matching attribute (the filter) of the identity provider: it must be one that SCIM users or "
        "groups have and that can be searched, usually userName, externalId or displayName.",
        kind="invalidFilter",
    ),
    Rule(400, "The list has changed its question half-way: let the client begin at the first page.", "invalidCursor"),
    Rule(400, "The client asks for pages of a size that there cannot be: lower its page size.", "invalidCount"),
    Rule(400, "The request asks for too much at once: let the client send it in parts.", "tooMany"),
    Rule(400, _ASK_CLIENT, kind="invalidSyntax"),
    Rule(400, _ASK_CLIENT, pattern="could not be understood"),
    Rule(
        404,
        "The address is wrong. Compare the base URL at the identity provider with the SCIM endpoint URL, which ends in "
        "/scim/v2.",
        pattern="nothing at this address|^path is /Users or /Groups|no document",
        place=Place.SCIM,
    ),
    Rule(
        404,
        "The identity provider changes something that is not here (any more): it was deleted, or belongs to another "
        "space. Restart provisioning there and clear its state, and it will make the object anew.",
        place=Place.USERS,
    ),
    Rule(405, "This server does not offer that operation at that address. " + _ASK_CLIENT),
    Rule(406, "This server answers with SCIM JSON only. " + _ASK_CLIENT),
    Rule(408, "The request did not arrive in time. Look at the network and the proxy between the two."),
    Rule(
        412,
        "Somebody else changed the object in between. The identity provider reads it again and repeats its change; if "
        "it does not, start provisioning there once more.",
        place=Place.USER,
    ),
    Rule(
        413,
        "Let the identity provider send fewer members or operations in one request (its batch size), or raise "
        "max_body_bytes in the portal's settings.",
    ),
    Rule(415, "Let the identity provider send application/scim+json or application/json (its SCIM client settings)."),
    Rule(
        429,
        "Wrong credentials keep coming from this address. Find the client that still has an old one, and give it the "
        "present one or stop it.",
        pattern="refused credentials",
        place=Place.SCIM,
    ),
    Rule(
        429,
        "The identity provider waits as long as Retry-After says and goes on by itself. If this happens all the time, "
        "slow its provisioning down or raise scim_requests_per_minute in the portal's settings.",
    ),
    Rule(501, "Nothing is broken: this part of SCIM is not offered. Switch it off in the client, if it can be."),
    Rule(
        503,
        "The guard paused the push, because it would take away an unusual number of users. See what is held back and, "
        "if that is meant, let it through.",
        pattern="(?i)guard|paused|held back",
        place=Place.SCIM,
    ),
    Rule(
        503,
        "Two requests changed the same users or groups in opposite order, and one of them was undone. The identity "
        "provider sends it again by itself.",
        pattern="^Two changes",
    ),
    Rule(
        503,
        "The database or another part did not answer. The identity provider tries again by itself; if it lasts, look "
        "for the request ID in the portal's log.",
    ),
    Rule(
        500,
        "This is a fault of the portal, not of the push. Look for the request ID in the portal's log, and let the "
        "identity provider try again.",
    ),
)
