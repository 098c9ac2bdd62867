"""Positions of words in tables and rows, and numbers that the packet loop shares with its readers.

Compiled modules take these as C constants from layout.pxd, all others from here. A test compares
the two. The names of what the loop counts are also here.
"""

# A slot of the flow table, in 64-bit words.
FLOW_KEY = 0  # the flow key; 0 if the slot is empty
FLOW_LAST = 1  # time of the last packet, ns
# A word per side: sequence number, and from bit 32 on how many bytes are expected from there or,
# with bit 62, how many a whole message has; for datagrams, when the reported hello began:
FLOW_EXPECTED = 2
FLOW_BYTES = 4  # a word per side: payload bytes sent
# A byte per side: TCP state, and in its upper five bits a count of early segments; from bit 16 on
# REFUSED_ bits:
FLOW_STATE = 6
# Connections that used these ports before, modulo 256; from bit 8 on the name status:
FLOW_GENERATION = 7
FLOW_FIRST = 8  # time of the first packet, ns
FLOW_ADDRESSES = 9  # four words of 32 bits per side
FLOW_PORTS = 17  # port of side 0 from bit 16 on, port of side 1
FLOW_FLAGS = 18  # IP protocol in eight bits, FLAG_ bits, and from bit 16 on the VLAN id plus 1
FLOW_PACKET = 19  # number of the first packet, and from bit 40 on of its source
FLOW_MACS = 20  # a word per side: MAC address with bit 48 set; 0 if there is none
# When the side whose hello in datagrams was reported sent last, ns; for segments, the sequence
# number of the reported hello and, from bit 32 on, its size:
FLOW_HELLO_SENT = 22
# The flow's entry in the hello buffer plus 1 in eight bits, 0 if it has none; from bit 8 on the
# number of its last kept message:
FLOW_ENTRY = 23
# A word per side: the place of its last packet that may carry a name, with bit 34 set, as in the
# mark of a row:
FLOW_NAMED = 24
# A word per side: what the other side has acknowledged, with bit 34 set; for segments a sequence
# number, for datagrams the place of the answered one; or only the bit ACKED_CONTESTED:
FLOW_ACKED = 26
FLOW_WORDS = 32  # words of a slot, four cache lines of the processor

# Bits of FLOW_FLAGS.
FLAG_IPV6 = 1 << 8  # addresses are of IPv6
FLAG_CLIENT_KNOWN = 1 << 9  # FLAG_CLIENT_1 is valid
FLAG_CLIENT_1 = 1 << 10  # side 1 is the client, otherwise side 0
FLAG_START_SEEN = 1 << 11  # the capture contains the first packet of the conversation
FLAG_HELLO_REPORTED = 1 << 12  # a hello in datagrams was counted by the loop
FLAG_HELLO_1 = 1 << 13  # side 1 sent that hello, otherwise side 0
FLAG_HANDLED_BY_PARSER = 1 << 14  # hellos of the flow go to the parsers from now on
FLAG_REPORT_END = 1 << 15  # the end of the flow is to be reported individually

# A bit of the first word of a cell of counted flows, next to FLAG_IPV6, the VLAN id plus 1 from bit
# 16 on, and the visibility in the lowest eight: the client is outside all network ranges.
CELL_OUTSIDE = 1 << 9

# TCP state of one side of a flow.
STATE_NEW = 0  # nothing of this side was seen
STATE_OPENED = 1  # its SYN was seen, and nothing after it
STATE_EXPECTING = 2  # it began a message and more of it is expected
STATE_MIDSTREAM = 3  # the capture began amid the connection: its first segments may end a message
STATE_IGNORED = 4  # nothing more of it is of interest

# Bits of FLOW_STATE besides the states of the sides: the connection was refused in the name of a
# side before that side had sent payload.
REFUSED_0 = 1 << 16
REFUSED_1 = 1 << 17

# Further bits of FLOW_STATE, the one of side 1 after the one of side 0. Data of a side that may
# carry a name has not been acknowledged yet:
NAMED_0 = 1 << 18
# The checksum of a packet of the side that carries a name is wrong, so the checksums of others are
# checked:
VERIFY_0 = 1 << 20
CHECKSUMS_RIGHT_0 = 1 << 22  # the checksum of a packet of the side is right
CHECKSUMS_WRONG_0 = 1 << 24  # the checksum of a packet without a name is wrong
VERIFIED_0 = 26  # place of a count of three bits: packets that were checked for that
VERIFIED_1 = 29

# Checksum states: places in `netwatch.core.flow.CHECKSUMS`.
CHECKSUM_UNKNOWN = 0
CHECKSUM_RIGHT = 1
CHECKSUM_WRONG = 2

# The mark of a packet that carries a name: its place in 32 bits, and after these
MARK_CHECKSUM = 32  # place of two bits: CHECKSUM_
MARK_PLACED = 34  # place of a bit: there is a place

# Place of a bit in FLOW_ACKED: the side has sent other bytes at the place of a name, or a hello
# with another name, before the first was acknowledged. It is unknown which one its server took.
ACKED_CONTESTED = 35

# Places in FLOW_STATE of what `answers` notes:
DENIED_BY = 40  # a bit: side 1 has denied the other side's request, otherwise side 0
UNANSWERED = 41  # a bit per side: what it has sent is not an answer yet
DENIAL = 48  # how it was denied, a place in `netwatch.core.flow.DENIALS`; 0 if it was not

# Places in `netwatch.core.flow.DENIALS`, after those of alerts.
DENIAL_403 = 257
DENIAL_407 = 258
DENIAL_451 = 259
DENIAL_511 = 260

# Columns of a candidate row, and those after them of a row in the hello buffer.
ROW_KIND = 0  # KIND_
ROW_RECORD = 1  # index of the record in its block; negative for a buffered packet
ROW_PAYLOAD = 2  # offset of the payload in the block
ROW_CAPTURED = 3  # bytes of payload captured
ROW_WIRE = 4  # bytes of payload on the wire
ROW_SOURCE_PORT = 5
ROW_DESTINATION_PORT = 6
ROW_ADDRESSES = 7  # offset of the source address; the destination's follows it
ROW_ADDRESS_SIZE = 8  # bytes of one address
ROW_SOURCE_MAC = 9  # offset; -1 if there is none
ROW_DESTINATION_MAC = 10  # offset; -1 if there is none
ROW_VLAN = 11  # VLAN id; -1 if there is none
# TCP sequence number of the payload; for a fragment its offset, with bit 16 set if more follow:
ROW_SEQUENCE = 12
ROW_FLOW = 13  # flow key and generation; for a fragment its identification
ROW_SIDE = 14  # side of the flow that sent the packet, 0 or 1, and SIDE_ bits
ROW_PROTOCOL = 15  # IP protocol
ROW_PREFILTERED = 16  # 1 if the prefilter has read the hello that this packet completes
ROW_OBSERVATIONS = 17  # rows of the observation batch that come before this one
ROW_OWNER = 18  # OWNER_
ROW_MARK = 19  # how the packet was seen (`seen_marks`)
ROW_COLUMNS = 20  # columns of a row
BUFFERED_TIME = 20  # time of the packet, ns
BUFFERED_CAPTURED = 21  # bytes of the packet captured
BUFFERED_WIRE = 22  # bytes of the packet on the wire
BUFFERED_INTERFACE = 23  # index of its interface
BUFFERED_VLAN = 24  # VLAN tag that the card had stripped, as in its record
BUFFERED_PACKET = 25  # number of the packet, and from bit 40 on of its source
BUFFERED_INTERFACES = 26  # which list of interfaces the packet came with
BUFFERED_COLUMNS = 27  # columns of a row in the hello buffer

# Bits of ROW_SIDE.
SIDE_STRAY = 4  # no server accepts the segment: it is read by itself
SIDE_OTHER_BYTES = 8  # its bytes differ from a message that was read

# The owner of a row's packet, if several workers read one capture (`dissect.loop.share`).
OWNER_SELF = 0  # this worker counts what the packet shows
OWNER_OTHER = 1  # this worker reads the flow, but another one counts it
OWNER_EVERYONE = 2  # all workers learn from it; another one counts it
EVERYONE = 255  # an owner of a packet that must be read to find the owner

# Fields of a record of a block (`netwatch.capture.block`).
RECORD_TIME = 0
RECORD_OFFSET = 1
RECORD_CAPTURED = 2
RECORD_WIRE = 3
RECORD_INTERFACE = 4
RECORD_VLAN = 5
RECORD_FIELDS = 6  # integers of a record

# An entry of the hello buffer, in 64-bit words.
ENTRY_FLOW = 0  # the flow as rows call it; 0 if the entry is not used
ENTRY_SIDE = 1  # the side that sends the hello
ENTRY_BASE = 2  # TCP sequence number of the hello's first byte
ENTRY_TIME = 3  # time of its first packet, ns
ENTRY_SPANS = 4  # parts of the hello that have arrived
ENTRY_PACKETS = 5  # packets that brought them
ENTRY_BYTES = 6  # bytes of the hello that have arrived
ENTRY_END = 7  # the greatest end of a part
ENTRY_WORDS = 8  # words of an entry

# Limits of one packet.
MAX_IP_HEADERS = 8  # IP headers, the outermost counted
MAX_OTHER_HEADERS = 16  # EtherTypes other than IP, LLC, and authentication headers
MAX_EXTENSIONS = 12  # IPv6 extension headers after one another
FAILURES = 64  # anomalies that can be taken back, a power of two

# Limit of the counts of a capture.
MAX_ETHER_TYPES = 32  # EtherTypes in no table that are counted individually

# Limits of the hello buffer.
MAX_HELLOS = 128  # hellos in several packets that are buffered
MAX_PIECES = 4  # packets of one of them
MAX_PACKET = 2048  # bytes of one of these packets as captured
MAX_HELLO = 4096  # bytes of a hello
MAX_AGE = 2_000_000_000  # ns of packet time that a hello is buffered
MAX_SPANS = 32  # parts of a hello, of which a packet may contain several

# Kinds of candidates: keys of `netwatch.protocols.PROTOCOLS`, and five more. The first packet of a
# flow, if these are requested; its payload may have another row:
KIND_OPENING = 0
KIND_DNS = 1
KIND_TLS = 2
KIND_QUIC = 3
KIND_HTTP = 4
KIND_DNS_TCP = 5
KIND_MORE = 6  # a segment without a known start, of which more is expected
KIND_FRAGMENT = 7  # a fragment of an IP packet
KIND_DTLS = 8
KIND_SOCKS = 9
KIND_TLS_SERVER = 10
KIND_HTTP2 = 11
KIND_GQUIC = 12
KIND_DHCP = 13
KIND_DHCPV6 = 14
KIND_MDNS = 15
KIND_ARP = 16
KIND_ND = 17
KIND_TUNNEL_FRAGMENT = 18  # a fragment made by a tunnel over UDP
# A packet that acknowledges what the other side has sent, if first packets are requested; its
# payload may have another row:
KIND_ANSWER = 20
KIND_CLOCK = 19  # no message: time has passed, so that messages may time out

# Sources to learn devices from: bits in the order of `netwatch.core.message.LEARNING_SOURCES`.
LEARN_DHCP = 1
LEARN_MDNS = 2
LEARN_ARP = 4

# Name status of a flow: places in `netwatch.core.flow.NAME_STATUSES`.
NAME_TRUNCATED = 1
NAME_NO_SNI = 2
NAME_NAMED = 3
NAME_ECH = 4

# Evidence that is counted without a parser: places in `prefilter.EVIDENCE`.
NAMES_DNS_QUERY = 0
NAMES_DNS_ANSWER = 1
NAMES_DNS_CNAME = 2
NAMES_TLS_SNI = 3
NAMES_QUIC_SNI = 4
NAMES_HTTP_HOST = 5

# Anomalies: places in `anomalies.ANOMALIES`.
ANOMALY_NOT_IP = 0
ANOMALY_LINK_TYPE_UNKNOWN = 1
ANOMALY_LINK_HEADER_CUT = 2
ANOMALY_IP_HEADER_CUT = 3
ANOMALY_IP_HEADER_BAD = 4
ANOMALY_IP_LENGTH_BAD = 5
ANOMALY_WRAPPING_UNKNOWN = 6
ANOMALY_IPV6_EXTENSIONS_MANY = 7
ANOMALY_TRANSPORT_UNKNOWN = 8
ANOMALY_TRANSPORT_HEADER_CUT = 9
ANOMALY_TCP_HEADER_BAD = 10
ANOMALY_UDP_LENGTH_BAD = 11
ANOMALY_PAYLOAD_CUT = 12
ANOMALY_TCP_RETRANSMISSION = 13
ANOMALY_WRAPPED_TOO_DEEP = 14
ANOMALY_WRAPPING_HEADER_CUT = 15
ANOMALY_WLAN_PROTECTED = 16
ANOMALY_ENCRYPTED_IP = 17
ANOMALY_AMSDU_BAD = 18
ANOMALY_ND_HOP_LIMIT = 19
ANOMALY_ENCRYPTED_LINK = 20
ANOMALY_HTTP2_LONG = 21
ANOMALY_ENCRYPTED_TUNNEL = 22
ANOMALY_TCP_STRAY = 23
ANOMALY_ND_FRAGMENTED = 24

# Layers: what follows at the cursor. The rows of `netwatch.core.encapsulation` name them.
LAYER_STOPPED = 0  # nothing that can be read
LAYER_TRANSPORT = 1  # a TCP or UDP header, or a fragment
LAYER_ETHERNET = 2
LAYER_IPV4 = 3
LAYER_IPV6 = 4
LAYER_IP = 5  # IPv4 or IPv6, by the version nibble
LAYER_ETHER_TYPE = 6  # see `Cursor.ether_type`
LAYER_VLAN = 7
LAYER_LLC = 8
LAYER_MPLS = 9
LAYER_PPPOE = 10
LAYER_PPP = 11
LAYER_NSH = 12
LAYER_GRE = 13
LAYER_ETHERIP = 14
LAYER_AH = 15
LAYER_ESP = 16  # encrypted
LAYER_MACSEC = 17
LAYER_EXTENSION = 18  # an IPv6 extension header
LAYER_FRAGMENT = 19  # an IPv6 fragment header
LAYER_UNSUPPORTED = 20  # a wrapping that is known but not read
LAYER_LOOPBACK = 21
LAYER_LINUX_SLL = 22
LAYER_LINUX_SLL2 = 23
LAYER_RADIOTAP = 24
LAYER_WLAN = 25
LAYER_NFLOG = 26
LAYER_FDDI = 27
LAYER_MPACKET = 28
LAYER_UNKNOWN_LINK = 29  # a link type that is not read
LAYER_CONTROL = 30  # a message between the tunnel's ends, which carries no packet
LAYER_ERSPAN = 31  # ERSPAN I or II
LAYER_ERSPAN_3 = 32
LAYER_WCCP = 33
LAYER_L2TPV3 = 34  # a session header of L2TP version 3 directly over IP

# What follows an EtherType that is a tag or a header before the frame (`frame_tags`).
LAYER_UNKNOWN_ETHER_TYPE = 40  # an EtherType that is in no table
LAYER_TAG_2 = 41  # a tag of two bytes, and the EtherType of what follows
LAYER_TAG_4 = 42
LAYER_TAG_6 = 43
LAYER_CISCO_METADATA = 44
LAYER_FABRICPATH = 45
LAYER_PBB = 46
LAYER_TRILL = 47
LAYER_BATMAN = 48
LAYER_GIGAMON = 49
LAYER_ARISTA = 50
LAYER_LAB_MANAGER = 51

# Serial and carrier links (`serial_links`).
LAYER_CISCO_HDLC = 70
LAYER_FRAME_RELAY = 71
LAYER_SERIAL_PPP = 72
LAYER_DIRECTED_PPP = 73
LAYER_DIRECTED_HDLC = 74
LAYER_DIRECTED_FRAME_RELAY = 75
LAYER_GFP = 76
LAYER_CLASSICAL_IP = 77
LAYER_SUN_ATM = 78

# Local networks other than Ethernet (`lan_links`).
LAYER_TOKEN_RING = 90
LAYER_ARCNET = 91
LAYER_ARCNET_LINUX = 92
LAYER_IPOIB = 93
LAYER_IP_OVER_FC = 94
LAYER_IEEE1394 = 95

# Headers of the capturing system (`capture_headers`).
LAYER_PKTAP = 110
LAYER_PPI = 111
LAYER_PFLOG = 112
LAYER_ENC = 113
LAYER_IPNET = 114
LAYER_EPON = 115
LAYER_PRISM = 116
LAYER_AVS = 117
LAYER_ERF = 118
LAYER_NETANALYZER = 119
LAYER_REDBACK = 120
LAYER_SYMANTEC = 121
LAYER_TZSP = 122

# Captures of Juniper routers (`juniper`).
LAYER_JUNIPER_ETHERNET = 130
LAYER_JUNIPER_PPP = 131
LAYER_JUNIPER_FRAME_RELAY = 132
LAYER_JUNIPER_HDLC = 133
LAYER_JUNIPER_GGSN = 134
LAYER_JUNIPER_SERVICES = 135
LAYER_JUNIPER_VOICE = 136
LAYER_JUNIPER_TUNNEL = 137
LAYER_JUNIPER_ATM1 = 138
LAYER_JUNIPER_ATM2 = 139
LAYER_JUNIPER_MLPPP = 140
LAYER_JUNIPER_MLFR = 141
LAYER_JUNIPER_VN = 142
WLAN_TO_PACKET = 58  # bytes of a data frame of IEEE 802.11 before its packet, at most

PROTOCOL_TUNNEL_FRAGMENT = 256  # `Cursor.protocol` at a fragment made by a tunnel over UDP


ANOMALIES = (
    "not-ip",
    "link-type-unknown",
    "link-header-cut",
    "ip-header-cut",
    "ip-header-bad",
    "ip-length-bad",
    "wrapping-unknown",
    "ipv6-extensions-many",
    "transport-unknown",
    "transport-header-cut",
    "tcp-header-bad",
    "udp-length-bad",
    "payload-cut",
    "tcp-retransmission",
    "wrapped-too-deep",
    "wrapping-header-cut",
    "wlan-protected",
    "encrypted-ip",
    "amsdu-bad",
    "nd-hop-limit",
    "encrypted-link",
    "http2-long",
    "encrypted-tunnel",
    "tcp-stray",
    "nd-fragmented",
)

HARMLESS = frozenset({"not-ip", "transport-unknown"})
"""What is counted but not a fault: ARP, ICMP and the like, which carry no name."""


def unknown_ether_type(number: int) -> str:
    """The name under which frames with an EtherType in no table are counted."""
    return f"wrapping-unknown-{number:#06x}"
