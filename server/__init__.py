"""
Keyturn: an OAuth 2.0 resource server for Python.

The house, in the order in which it reads best:

routes, resources       what is served, and who may have it
protector               the one decision: is this request admitted?
oauth/                  the law: what a sound access token is; pure
token_cache             what was verified, so that it is verified once
jwks/                   the keys: kept current in the background; the only outbound traffic
web/                    the door: everything that answers
dev_issuer/             a local issuer for laptops and tests
settings, config…       config.yaml and the environment, read and judged whole
issuer_settings         one whom we believe, as it is configured
metrics, shared_numbers what is counted, in memory that processes share
vital_signs             how the server itself is doing, in numbers
logs/                   one structured line for each event, and its way out, which nobody waits for
throttle                what comes again and again, counted
app, key_ring           the parts put together; the keys of all issuers, kept and let go
tracing, span_export    where spans go, if the environment asks for any
serving, listening, open_files, stopping, reloading
                        ports, and how it ends; the configuration read again on the way
workers/                several processes that serve the same, and who keeps them
cli, terminal           the commands; what is printed
checking                what ``keyturn check`` says of each issuer
explaining, findings, case
                        why a token is admitted or refused, check by check
greeting                what ``make run`` tells a newcomer
client                  asking an issuer for an access token, for ``keyturn token``
testing/                what users test their own routes with: a pytest plugin and its parts

Imports point one way: cli → app → routes → resources → web → protector → jwks → oauth → settings.
"""

__version__ = "0.1.0"
