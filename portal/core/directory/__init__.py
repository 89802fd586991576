"""Users and user groups of a space (IC-3..IC-5). The console and SCIM both write here.

An object's source is Manual or SCIM: `sources` says who may change it, `adoption` hands a Manual one over to SCIM. A
group holds users of its own source. A pushed group may hold pushed groups; who is in those is in it, too (nesting).
"""
