"""
Several processes that serve one API: read crew, then supervisor, then worker, then operating.

The supervisor has the ports, forks the workers, replaces those that die or hang, and tells them to
reload and to stop.  A worker does what the one process does that needs no supervisor; siblings ask
each other for what an operator wants to know of all.
"""
