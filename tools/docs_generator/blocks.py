"""The parts of pages that are generated, by the name in their marker."""

from collections.abc import Mapping

from docs_generator import (
    anomalies,
    catalogue,
    commands,
    configuration,
    console,
    internals,
    limits,
    lists,
    metrics,
    outputs,
    protocols,
    records,
    siem_formats,
    verdicts,
)
from docs_generator.pages import Block

BLOCKS: Mapping[str, Block] = {
    "anomalies": anomalies.block,
    "apps": catalogue.apps_block,
    "command": commands.block,
    "confidence": verdicts.confidence_block,
    "console": console.block,
    "csv-columns": records.csv_block,
    "ether-types": protocols.ether_types_block,
    "evidence": verdicts.evidence_block,
    "fields": siem_formats.fields_block,
    "formats": siem_formats.formats_block,
    "gre": protocols.gre_block,
    "ip-protocols": protocols.ip_protocols_block,
    "keys": configuration.keys_block,
    "limits": limits.block,
    "lint-rules": catalogue.lint_block,
    "link-types": protocols.link_types_block,
    "list-formats": lists.formats_block,
    "metrics": metrics.block,
    "output": outputs.block,
    "output-types": outputs.types_block,
    "packages": internals.packages_block,
    "packs": catalogue.packs_block,
    "parsers": internals.parsers_block,
    "ppp": protocols.ppp_block,
    "readings": verdicts.readings_block,
    "record": records.block,
    "severities": siem_formats.severities_block,
    "sources": catalogue.sources_block,
    "troubles": metrics.troubles_block,
    "udp-tunnels": protocols.udp_tunnels_block,
}
