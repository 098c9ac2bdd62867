"""Rules, indicators and protocols as sensors have them, with what cannot be read among them."""

SURICATA = r"""# rules of our own
alert dns any any -> any any (msg:"Acme lookup"; dns.query; dotprefix; content:".acme.example"; nocase; endswith; sid:1000001; rev:1;)
alert tls $HOME_NET any -> $EXTERNAL_NET any (msg:"Acme hello\; at the end"; flow:established,to_server; tls.sni; content:"video.example"; nocase; endswith; fast_pattern; sid:1000002;)
drop tls any any -> any any (msg:"one host"; tls.sni; content:"www.host.example"; startswith; endswith; sid:1000003;)
alert http any any -> any any (msg:"by its size"; http.host; content:"size.example"; bsize:12; sid:1000004;)
alert http any any -> any any (msg:"old form"; content:"old.example"; http_host; isdataat:!1,relative; sid:1000005;)
alert quic any any -> any any (msg:"hex"; quic.sni; content:"quic|2e|example"; endswith; sid:1000006;)
alert tls any any -> any any (msg:"no end"; tls.sni; content:"loose.example"; sid:1000007;)
alert tls any any -> any any (msg:"but one"; tls.sni; dotprefix; content:".zone.example"; endswith; content:!".ok.zone.example"; endswith; sid:1000008;)
pass dns any any -> any any (msg:"let pass"; dns.query; content:"passed.example"; endswith; sid:1000009;)
alert tls any any -> any any (msg:"pattern"; tls.sni; content:"p16-"; pcre:"/^p16-[a-z]+\.cdn\.example$/i"; sid:1000010;)
alert tls any any -> any any (msg:"two parts"; tls.sni; content:"two"; content:".example"; endswith; sid:1000011;)
alert http any any -> any any (msg:"a path"; http.host; content:"path.example"; endswith; http.uri; content:"/upload"; sid:1000012;)
alert tls any any -> any any (msg:"certificate"; tls.cert_subject; content:"CN=cert.example"; sid:1000013;)
alert ip any any -> 192.0.2.1 any (msg:"address"; sid:1000014;)
#alert dns any any -> any any (msg:"off"; dns.query; content:"off.example"; endswith; sid:1000015;)
alert dns any any -> any any (msg:"two lines"; dns.query; \
    content:"lines.example"; endswith; sid:1000016;)
"""  # noqa: E501 - rules are long

ZEEK = """# of our own
#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc
acme.example\tIntel::DOMAIN\tours\tAcme, the video app
www.acme.example\tIntel::DOMAIN\tours\t-
192.0.2.7\tIntel::ADDR\tours\tits server
acme.example/login\tIntel::URL\tours
other.example\tIntel::NOTHING\tours\tx
acme.example Intel::DOMAIN ours spaces
"""

NDPI = """# protocols of our own
tcp:4711,udp:4711@Acme
host:"acme.example",host:"*.cdn.acme.example",host:"acme"@Acme
host:"Chat.Example"@AcmeChat=2048
ip:192.0.2.1/32:443@Acme
ipv6:[2001:db8::1]@Acme
nbpf:"host 192.0.2.1 and port 80"@Acme
host_risk_mask:".home"=0
trusted_issuer_dn:"CN=1, O=Acme"
host:"nobody.example"
host:nothing at all
"""
