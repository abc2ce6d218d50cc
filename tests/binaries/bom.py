"""Whether a list of components is one that others can read: CycloneDX's own schema has it, and each
purl of it is in the form that its specification calls canonical."""

import json
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL


def complaints(bom: dict[str, Any]) -> list[str]:
    wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bom))
    purls = [part["purl"] for part in bom["components"]]
    return [*([str(wrong)] if wrong else []),
            *(one for one in purls if PackageURL.from_string(one).to_string() != one)]
