"""
What users test their own routes with: an issuer of their own, and the product on a test socket.

Reading order: issuer, serving, plugin.  Public are TestIssuer, KeyturnServer and the plugin's
fixtures.  Nothing is imported here: every run of pytest beside Keyturn loads this package.
"""
