"""
The development issuer: mints, rotates and publishes on loopback, for laptops and tests.

Reading order: settings, signing_keys, authorization_server, faults, endpoints.
"""
