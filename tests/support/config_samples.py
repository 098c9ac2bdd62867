"""Configurations that have every key of their sections, for a folder with the files they name."""

SAMPLES = {
    "judging": """\
version: 1
networks: [{name: hq, cidrs: [10.0.0.0/8], class: service, expected: always, vlans: [7, 30-39]}]
devices:
  inventory: devices.csv
  columns: {hostname: "Device Name"}
  leases: [{path: dnsmasq.leases, format: dnsmasq, lease_time: 12h}]
  learn: [dhcp, mdns]
signatures: [tiktok.yaml]
bans:
  - {id: rule, authority: City, apps: [tiktok], periods: [{from: 2023-03-10, basis: decision}],
     texts: {fr: {authority: Ville}}, forbids: [service], severity: high, bypass: count}
exemptions: [{ban: rule, device: 10.0.0.1, until: 2024-01-01, reason: research}]
search_suffixes: [corp.example]
sinkholes: [10.20.0.80]
exporters:
  - {address: 10.0.0.0/30, name: core, sampling: 100, clock: -2h}
  - {address: 10.9.0.1, clock: arrival}
incidents: {quiet_gap: 1h, unheard: 2h, unknown_clients: 100}
sensor: {name: here}
metrics: {listen: ":9477", hosts: [probe.example], silence: 60s, dropping: 10s, stuck: 5m}
""",
    "serving": """\
version: 1
signatures: [tiktok.yaml]
bans: []
spool: {path: spool, max_bytes: 8M, max_age: 1d}
store: {path: store, catalogue: "postgresql://db.example/netwatch"}
retention: {observations: 30d, incidents: 2y, evidence: forever, personal: 7d}
data_protection: {controller: City of Example, contact: dpo@example.org, supervisor: DPA}
console:
  listen: 127.0.0.1:8477
  url: https://netwatch.example
  hosts: [netwatch.example]
  idle: 30m
  absolute: 12h
  language: fr
  timezone: Europe/Brussels
  metrics: http://127.0.0.1:9477
  oidc: {issuer: "https://id.example", client_id: netwatch, roles: {analysts: analyst},
         role_claim: groups, client_secret: {env: SECRET}}
  proxy: {addresses: [192.0.2.10], roles: {analysts: analyst}, user_header: X-User}
""",
    "fleet": """\
version: 1
signatures: [tiktok.yaml]
bans: []
fleet:
  centre: tls://nats.example:4222
  server: {listen: "127.0.0.1:4222", folder: fleet, max_bytes: 1G, max_age: 1d, silence: 60s}
  spool: {path: spool, max_bytes: 1G}
  published: published
  sensors: {brussels-1: {networks: [hq, byod]}}
updates:
  url: https://updates.example/sets/
  root: root.json
  every: 12h
  ask_above: 5
  folder: sets
  proxy: http://proxy.example:3128
""",
    "sending": """\
version: 1
signatures: [tiktok.yaml]
bans: []
devices:
  inventory: inventory/
  keep: 730d
  sources:
    - type: netbox
      url: https://netbox.example
      token: {env: TOKEN}
      proxy: http://proxy.example:3128
      objects: [devices]
      filter: {status: active, site: [hq, annex]}
      classes: [{class: service, role: laptop, tag: [lab, desk]}]
      timeout: 60s
    - {type: directory, path: computers.ldif, owner: managedBy}
    - {type: csv, path: assets.csv, columns: {id: Asset}}
outputs:
  - {type: syslog, host: siem.example, transport: udp, facility: local1, max_bytes: 2k}
  - {type: file, path: alerts.jsonl, rotate: 100M, keep: 3, min_verdict: advisory}
  - {type: email, host: mail.example, from: a@example.org, to: [b@example.org], every: 10m,
     quiet_hours: "22:00-07:00", timezone: Europe/Brussels}
  - {type: http, url: "https://hook.example", secret: {env: KEY}, headers: {X-Site: hq}}
  - {type: kafka, brokers: [kafka.example], topic: alerts, tls: {},
     sasl: {user: a, password: {env: PASSWORD}}}
  - {type: nats, url: "tls://nats.example", subject: alerts, token: {env: TOKEN}}
  - {type: splunk_hec, url: "https://splunk.example:8088", token: {env: TOKEN}, ack: true}
  - {type: elastic, url: "https://elastic.example:9200", api_key: {env: KEY}, timeout: 20s}
""",
}
