"""Drift: what stands in the accounts, compared with what the Identity Center put there (IC-9).

A scheduled pass of the worker looks into every account and keeps each difference; a repair is a task like any other.
"""
