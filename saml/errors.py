"""What can be wrong. Every public function of this package raises these and nothing else on bad input."""

from __future__ import annotations


class SamlError(Exception):
    """A SAML message was refused.

    `reason` is a stable code for logs, metrics and tests:

    encoding        not base64, not deflated, not UTF-8, or a query string with a field missing or twice
    size            larger than allowed
    xml             not well-formed, or with a DTD, entity, comment or processing instruction
    shape           an element or attribute that has no place there, or one that is missing
    status          the identity provider reports a failure
    assertions      not exactly one assertion
    encrypted       an encrypted part where we take none, or one that we may not open
    not-encrypted   an assertion in clear where only encrypted ones are taken
    decryption      what our keys do not open to one assertion: one reason, whatever went wrong
    unsigned        no signature over what would be read
    algorithm       a signature, digest, canonicalisation or transform outside the allow-list
    signature       the signature does not hold with the certificates we trust
    in-response-to  answers another request, none, or one although none was sent
    destination, recipient, audience, issuer    meant for, or coming from, somebody else
    expired, not-yet-valid, time                a time outside its window, or no readable time
    session-over    the session at the identity provider has ended
    authentication  of another time than the one that was asked for anew
    name-id         a subject name that cannot be a user name
    username        the attribute that is to tell the user name is missing, has several values or one that cannot be
    library         python3-saml refused it for a reason of its own

    `detail` may quote the message that was refused (on one line): for the log and the audit trail only, never
    for a page.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = "".join(character if character.isprintable() else "?" for character in detail)
        super().__init__(f"{reason}: {self.detail}" if detail else reason)


class MetadataError(SamlError):
    """Metadata or a certificate was refused; `message` tells an administrator what is wrong and what to do.

    `field` names the input when the values were typed by hand.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__("metadata", message)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return self.message
