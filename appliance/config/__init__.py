"""From a YAML file to what the data plane runs.

    document   text → YAML nodes with their positions
    reader     nodes → Config, by the schema's descriptors
    constraints, rules   what one field, and what fields together, may hold
    options    default < `defaults` < service
    settings   Config → the data plane's Settings and ServiceSpecs
    load       the whole way, with every error at once
"""
