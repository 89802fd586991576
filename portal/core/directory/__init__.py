"""Users and user groups of a space (IC-3..IC-5). The console and SCIM both write here.

An object's source is Manual or SCIM and never changes by itself: SCIM may not touch Manual objects, the console may
not touch SCIM
objects, and a group holds users of its own source.
"""
