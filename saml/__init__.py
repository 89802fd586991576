"""SAML 2.0 as a protocol. No database, no web framework: strings and times in, small frozen objects out.

    their metadata   -> metadata.parse_identity_provider -> IdentityProvider
    our metadata     -> publishing (service provider, and identity provider towards the accounts)
    sign-in          -> service_provider.authn_request   -> browser -> IdP
    IdP's answer     -> judging.accept_response (a sign-in) or judging.judge_response (a test, every check told):
                          xml.parse            UTF-8, no DTD, no comments, bounded
                          shape.check_response only the elements and attributes we know, in their order
                          encryption           an encrypted assertion, opened and put into its place
                          signatures.check     one reference to the own element, SHA-2, no other transforms
                          rules.RULES          who, for whom, in answer to what, until when -> Assertion
                          signatures.verify    with a certificate we trust
                          library.verify       python3-saml in strict mode, all of it once more
    single logout    -> logout (both ways), by HTTP-Redirect or HTTP-POST (bindings)
    our answer       -> issuing.issue_response -> auto-submitted form -> the account
    to look at       -> display.readable

What a caller must keep, because this package remembers nothing: the pending request ids (used once, bound
to the browser), the ids of accepted assertions until `Assertion.not_on_or_after`, and of what was accepted the name
with its qualifiers and the session index, for logout.
"""
