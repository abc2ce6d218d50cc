"""The same scripts through a plain wire, through the kernel's SYNPROXY, and through synproxyd.

    python -P -m appliance.lab.compare          (`make compare`)

Rows judge what a user meets (design/protocol §2, G1-G17); the differential run holds every
segment that comes out of synproxyd against what comes out of the kernel, and explains each
difference by a rule.
"""
