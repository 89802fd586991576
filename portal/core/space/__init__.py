"""The space: the Identity Center instance of an organization (IC-1, IC-2)."""
