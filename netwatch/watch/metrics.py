"""The Prometheus metrics of a running capture, as one table.

Names and units follow the conventions of Prometheus: one prefix, base units, and ``_total``
for counters. A new metric is a row of `METRICS`; the endpoint and the documentation read
the table.
"""

from netwatch.watch.metric_kinds import (
    Metric,
    backlog,
    build_info,
    counter,
    counts,
    gauge,
    interface_up,
    judged,
    oldest,
    open_incidents,
    output,
    reloads,
    table,
    troubles_by_kind,
)

METRICS: tuple[Metric, ...] = (
    Metric(
        "netwatch_build_info",
        "gauge",
        ("version", "signatures", "python", "compiled"),
        "The versions in use; the value is always 1.",
        build_info,
    ),
    gauge(
        "netwatch_start_time_seconds",
        "When the capture was started, in seconds since the epoch.",
        lambda snapshot: snapshot.started,
    ),
    Metric(
        "netwatch_reloads_total",
        "counter",
        ("outcome",),
        "Configurations that were reloaded: `applied` or `refused`.",
        reloads,
    ),
    gauge(
        "netwatch_last_reload_timestamp_seconds",
        "When a configuration was last reloaded and applied.",
        lambda snapshot: snapshot.last_reload,
    ),
    gauge(
        "netwatch_set_version",
        "The version of the installed set of signatures and bans.",
        lambda snapshot: snapshot.updates.version,
    ),
    gauge(
        "netwatch_set_expiry_timestamp_seconds",
        "When the installed set expires.",
        lambda snapshot: snapshot.updates.expires,
    ),
    gauge(
        "netwatch_update_last_success_timestamp_seconds",
        "When a check for a newer set last succeeded, whether there was one or not.",
        lambda snapshot: snapshot.updates.last_check,
    ),
    gauge(
        "netwatch_set_held_devices",
        "Devices that a newer set would have accused, which is held back until it is confirmed; 0"
        " if none is.",
        lambda snapshot: snapshot.updates.held_devices,
    ),
    counter(
        "netwatch_update_failures_total",
        "Checks for a newer set that failed.",
        lambda snapshot: snapshot.updates.failures,
    ),
    counter(
        "netwatch_state_failures_total",
        "How often the state file could not be written.",
        lambda snapshot: snapshot.state_failures,
    ),
    counter("netwatch_packets_total", "Packets received.", lambda snapshot: snapshot.packets),
    counter(
        "netwatch_packet_bytes_total",
        "Bytes of the received packets, as they were on the wire.",
        lambda snapshot: snapshot.wire_bytes,
    ),
    counter(
        "netwatch_packets_dropped_total",
        "Packets that the kernel dropped before netwatch received them, also datagrams of syslog.",
        lambda snapshot: snapshot.dropped,
    ),
    counter(
        "netwatch_log_records_total",
        "Records of logs that were read.",
        lambda snapshot: snapshot.records,
    ),
    counts(
        "netwatch_log_records_unread_total",
        "reason",
        "Records of logs that could not be read, by the reason.",
        lambda snapshot: snapshot.unread_records,
    ),
    counts(
        "netwatch_log_events_total",
        "event",
        "Events of logs: `log-rotated`, `log-truncated`, `log-gap` (a file was gone before"
        " it was read); to what is sent: `line-too-long`, `sender-refused`, `connection-refused`,"
        " `connection-evicted`, `connection-idle`, `tls-failed`, frames that were wrong by the"
        " reason, and `records-of-others` (of programs whose logs are not read); to flow records:"
        " `exporter-unknown` (of none of `exporters`).",
        lambda snapshot: snapshot.log_events,
    ),
    gauge(
        "netwatch_log_lag_seconds",
        "Age of the last record that was read if logs have more to read, otherwise 0.",
        lambda snapshot: snapshot.log_lag,
    ),
    counter(
        "netwatch_ring_freezes_total",
        "How often the kernel's packet ring was full.",
        lambda snapshot: snapshot.ring_freezes,
    ),
    counter(
        "netwatch_candidates_total",
        "Packets that passed the prefilter because they may carry a name.",
        lambda snapshot: snapshot.candidates,
    ),
    gauge(
        "netwatch_last_packet_timestamp_seconds",
        "When the last packet arrived, or the last record of a log was read.",
        lambda snapshot: snapshot.last_packet,
    ),
    Metric(
        "netwatch_interface_up",
        "gauge",
        ("interface",),
        "1 if packets can arrive on the interface, or the log can be read, otherwise 0.",
        interface_up,
    ),
    counts(
        "netwatch_interface_events_total",
        "event",
        "Changes of interfaces: `interface-down`, `interface-up`, `interface-no-link`,"
        " `interface-link`, `interface-mtu`, `interface-removed`, `interface-back`,"
        " `interface-refused`.",
        lambda snapshot: snapshot.interface_events,
    ),
    counter(
        "netwatch_clock_steps_total",
        "How often the clock that stamps the packets was set.",
        lambda snapshot: snapshot.clock_steps,
    ),
    counts(
        "netwatch_observations_total",
        "evidence",
        "Names seen, by kind of evidence.",
        lambda snapshot: snapshot.observations,
    ),
    counts(
        "netwatch_anomalies_total",
        "anomaly",
        "Irregularities in packets and messages, and limits that were reached.",
        lambda snapshot: snapshot.anomalies,
    ),
    counts(
        "netwatch_oddities_total",
        "oddity",
        "The same as netwatch_anomalies_total, under its old name.",
        lambda snapshot: snapshot.anomalies,
    ),
    counts(
        "netwatch_flows_total",
        "reading",
        "Flows that have ended, by whether their name could be read, and why not.",
        lambda snapshot: snapshot.flows,
    ),
    counts(
        "netwatch_incidents_total",
        "verdict",
        "Incidents that were reported.",
        lambda snapshot: snapshot.incidents,
    ),
    Metric(
        "netwatch_incidents_open",
        "gauge",
        ("verdict",),
        "Reported incidents that are open now.",
        open_incidents,
    ),
    Metric(
        "netwatch_incidents_closed_total",
        "counter",
        ("kind", "outcome"),
        "Reported incidents that have ended, by what they look like and by what came of them.",
        judged,
    ),
    counts(
        "netwatch_contacts_without_verdict_total",
        "reason",
        "Contacts to which no ban applies, by the reason.",
        lambda snapshot: snapshot.without_verdict,
    ),
    table(
        "netwatch_table_entries",
        "gauge",
        "Entries in a bounded table now: `flows`, `streams`, `handshakes`, `fragments`,"
        " `learned_addresses`, `resolved_addresses`, `ech_configurations`, `contact_flows`,"
        " `incidents`, `ended_incidents`; of logs `logs`, `log_senders`, `log_connections`,"
        " `told_names`.",
        lambda table: table.entries,
    ),
    table(
        "netwatch_table_entries_limit",
        "gauge",
        "Entries that the table can have.",
        lambda table: table.limit,
    ),
    table(
        "netwatch_table_evictions_total",
        "counter",
        "Entries that were evicted because the table was full or they were too old.",
        lambda table: table.evicted,
    ),
    backlog(
        "netwatch_backlog_bytes",
        "gauge",
        "Bytes queued in memory: `findings` of workers, `records` and `messages` not written yet.",
        lambda backlog: backlog.bytes_queued,
    ),
    backlog(
        "netwatch_backlog_left_out_total",
        "counter",
        "Findings, records and messages that were discarded because their queue was full.",
        lambda backlog: backlog.discarded,
    ),
    output(
        "netwatch_output_waiting",
        "gauge",
        "Alerts that are not delivered yet.",
        lambda queue, now: queue.waiting,
    ),
    output(
        "netwatch_output_oldest_seconds",
        "gauge",
        "Age of the oldest alert that is not delivered yet; 0 if there is none.",
        oldest,
    ),
    output(
        "netwatch_output_delivered_total",
        "counter",
        "Alerts delivered.",
        lambda queue, now: queue.delivered,
    ),
    output(
        "netwatch_output_failures_total",
        "counter",
        "Attempts at delivery that failed.",
        lambda queue, now: queue.failed,
    ),
    output(
        "netwatch_output_lost_total",
        "counter",
        "Alerts that the receiver refused for good, or that were too old, too many, or lost in a"
        " damaged outbox.",
        lambda queue, now: queue.lost,
    ),
    gauge(
        "netwatch_outbox_unwritten",
        "Alerts that are in memory only, because the outbox cannot be written.",
        lambda snapshot: snapshot.outbox.waiting,
    ),
    counter(
        "netwatch_outbox_lost_total",
        "Alerts that could be stored neither in the outbox nor in memory.",
        lambda snapshot: snapshot.outbox.lost,
    ),
    counter(
        "netwatch_evidence_files_total",
        "Evidence captures written.",
        lambda snapshot: snapshot.evidence.files,
    ),
    counter(
        "netwatch_evidence_bytes_total",
        "Bytes of evidence captures written; a file that is rewritten counts again.",
        lambda snapshot: snapshot.evidence.bytes_written,
    ),
    counts(
        "netwatch_evidence_left_out_total",
        "reason",
        "Packets that limits kept out of evidence captures, and captures not written.",
        lambda snapshot: snapshot.evidence.left_out,
    ),
    counter(
        "netwatch_store_rows_total",
        "Observations, flows and address claims that were written to the store.",
        lambda snapshot: snapshot.store.rows,
    ),
    counter(
        "netwatch_store_rows_lost_total",
        "Observations, flows and address claims that the store lost, because it was too slow or"
        " could not be written to.",
        lambda snapshot: snapshot.store.lost,
    ),
    counter(
        "netwatch_store_packets_skipped_total",
        "Packets that were judged and not recorded for the store, because the capture was behind.",
        lambda snapshot: snapshot.store.skipped,
    ),
    counter(
        "netwatch_store_records_lost_total",
        "Records of incidents and coverage that the store lost.",
        lambda snapshot: snapshot.store.decisions_lost,
    ),
    counter(
        "netwatch_store_writer_restarts_total",
        "Writers of the store that were started because one had died or could not open it.",
        lambda snapshot: snapshot.store.restarts,
    ),
    counter(
        "netwatch_store_bypasses_total",
        "Days of devices that hid their lookups, of which the outputs were told.",
        lambda snapshot: snapshot.store.bypasses,
    ),
    gauge(
        "netwatch_fleet_link_connected",
        "Whether this sensor is connected to its centre; absent if it belongs to none.",
        lambda snapshot: (
            None if snapshot.fleet.connected is None else int(snapshot.fleet.connected)
        ),
    ),
    gauge(
        "netwatch_fleet_spool_files",
        "Files of facts that the centre has not committed yet.",
        lambda snapshot: snapshot.fleet.waiting,
    ),
    gauge(
        "netwatch_fleet_spool_bytes",
        "Bytes of these files.",
        lambda snapshot: snapshot.fleet.waiting_bytes,
    ),
    counter(
        "netwatch_fleet_rows_committed_total",
        "Observations, flows and address claims that the centre has committed.",
        lambda snapshot: snapshot.fleet.committed,
    ),
    counter(
        "netwatch_fleet_rows_evicted_total",
        "Rows that were evicted from the spool before the centre had committed them.",
        lambda snapshot: snapshot.fleet.evicted,
    ),
    Metric(
        "netwatch_fleet_published_version",
        "gauge",
        ("kind",),
        "The version in use of what the centre published: `set`, `configuration`.",
        lambda snapshot, _: [
            ((kind,), version)
            for kind, version in sorted(snapshot.fleet.published.versions.items())
        ],
    ),
    counts(
        "netwatch_fleet_published_refused_total",
        "reason",
        "Publications of the centre, or of an impostor, that this sensor refused.",
        lambda snapshot: snapshot.fleet.published.refused,
    ),
    gauge(
        "netwatch_fleet_link_offset_seconds",
        "How far the clock of this sensor is ahead of the centre's.",
        lambda snapshot: snapshot.fleet.offset,
    ),
    Metric(
        "netwatch_troubles",
        "gauge",
        ("trouble",),
        "Reasons why /healthz reports the capture as unhealthy now, by kind.",
        troubles_by_kind,
    ),
)
"""All metrics, in the order in which they are exposed."""
