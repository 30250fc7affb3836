"""
The law: what a sound access token is and who it admits.

Pure.  No I/O, no clock, no log, no environment, no web framework: a decision is a function of
its arguments.  Reading order: errors, bearer, jose, unverified_token, keys, jwk_set, policy,
checks, claims, access_token, scope, challenge.
"""
