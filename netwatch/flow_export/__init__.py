"""Flow records as exporters send them: NetFlow v5 and v9, IPFIX.

Messages in, values out: who talked to which address, when and how much, without a name. Every
reader of flow records gives a `netwatch.flow_export.records.FlowRecord`, whatever the protocol or
the log.
"""
