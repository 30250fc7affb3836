"""
The keys: whom we ask for them, when, and what we do while they cannot be had.

The only outbound traffic of a serving process.  Reading order: remote_key_set, snapshot, policy,
brake, client, journal.
"""
