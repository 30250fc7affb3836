"""
The keys: whom we ask for them, when, and what we do while they cannot be had.

The only outbound traffic of a serving process.  Reading order:

remote_key_set                 the keys of one issuer, and what to do about one that is unknown
refresher, flight, schedule    one fetch at a time, and when the next is due
snapshot, policy, brake        the keys at one time; the arithmetic; the brake on forgers
client, discovery, document    asking an issuer: where its keys are, and for them
connection, published          to whom we connect; what we were given
sharing, store                 the last good keys, shared between processes
fixed_key_set                  keys that are configured instead
journal, numbers, outcomes     what is told and counted, and in which words
spans                          what is traced, if anything is
"""
