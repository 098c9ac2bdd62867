"""What OpenSearch and its dashboards import: the files for Elastic without what only Elastic
has."""

import json
from typing import Any

from siem_packages.archive import Files
from siem_packages.importing import Call, Login, script
from siem_packages.tables import shipped

_ONLY_ELASTIC = ("composed_of", "ignore_missing_component_templates")
_IMPORT = script(
    "Import the pipeline, the index template and the dashboard.",
    ("OPENSEARCH", "DASHBOARDS"),
    Login("LOGIN", "user"),
    "osd-xsrf",
    (
        Call("$OPENSEARCH/_ingest/pipeline/netwatch", "pipeline.json"),
        Call("$OPENSEARCH/_index_template/netwatch", "index-template.json"),
        Call("$DASHBOARDS/api/saved_objects/_import", "dashboard.ndjson", upload=True),
    ),
)


def files() -> Files:
    """The package, by paths below its folder."""
    return {
        "README.md": shipped("opensearch.md"),
        "import.sh": _IMPORT,
        "pipeline.json": shipped("elastic/pipeline.json"),
        "index-template.json": json.dumps(index_template(), indent=2) + "\n",
        "dashboard.ndjson": shipped("elastic/dashboard.ndjson"),
    }


def index_template() -> dict[str, Any]:
    """The template with a mapping for all texts: the components of Elastic map those of ECS, and
    without them OpenSearch makes each a `text`, by which nothing can be counted."""
    template: dict[str, Any] = json.loads(shipped("elastic/index-template.json"))
    for key in _ONLY_ELASTIC:
        del template[key]
    keyword = {"type": "keyword", "ignore_above": 1024}
    texts = {"match_mapping_type": "string", "path_match": "*", "mapping": keyword}
    message = {"path_match": "message", "mapping": {"type": "text"}}
    template["template"]["mappings"]["dynamic_templates"] = [
        {"message": message},
        {"texts": texts},
    ]
    return template
