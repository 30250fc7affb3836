"""
Ten minutes of trouble: ``make soak``.

Two workers serve a steady load of good and bad tokens while keys turn, the issuer breaks, the
configuration is reloaded, a worker is killed, clients trickle and nobody reads the log.  What
clients saw, what was counted and what was logged are then held against each other, request by
request.

tokens      what is sent, and what is the right answer to it
client      the load: each request under a name of its own
troubles    what goes wrong, and when
server      the server on trial, its log, its memory
ledger      each request beside its line in the log
account     what clients, metrics and log say of it
memory      whether it grows
report      the table and the plot
routes      what is served
"""
