# Positions of words in tables and rows, and numbers that compiled modules share. The interpreted
# form is layout.py; tests/dissect/loop/test_layout.py compares the two.

cdef enum:
    # A slot of the flow table, in 64-bit words.
    FLOW_KEY = 0
    FLOW_LAST = 1
    FLOW_EXPECTED = 2
    FLOW_BYTES = 4
    FLOW_STATE = 6
    FLOW_GENERATION = 7
    FLOW_FIRST = 8
    FLOW_ADDRESSES = 9
    FLOW_PORTS = 17
    FLOW_FLAGS = 18
    FLOW_PACKET = 19
    FLOW_MACS = 20
    FLOW_HELLO_SENT = 22
    FLOW_ENTRY = 23
    FLOW_NAMED = 24
    FLOW_ACKED = 26
    FLOW_WORDS = 32

cdef enum:
    # Bits of FLOW_FLAGS.
    FLAG_IPV6 = 1 << 8
    FLAG_CLIENT_KNOWN = 1 << 9
    FLAG_CLIENT_1 = 1 << 10
    FLAG_START_SEEN = 1 << 11
    FLAG_HELLO_REPORTED = 1 << 12
    FLAG_HELLO_1 = 1 << 13
    FLAG_HANDLED_BY_PARSER = 1 << 14
    FLAG_REPORT_END = 1 << 15

cdef enum:
    # A bit of the first word of a cell of counted flows.
    CELL_OUTSIDE = 1 << 9

cdef enum:
    # TCP state of one side of a flow.
    STATE_NEW = 0
    STATE_OPENED = 1
    STATE_EXPECTING = 2
    STATE_MIDSTREAM = 3
    STATE_IGNORED = 4

cdef enum:
    # Bits of FLOW_STATE besides the states of the sides.
    REFUSED_0 = 1 << 16
    REFUSED_1 = 1 << 17
    NAMED_0 = 1 << 18
    VERIFY_0 = 1 << 20
    CHECKSUMS_RIGHT_0 = 1 << 22
    CHECKSUMS_WRONG_0 = 1 << 24
    VERIFIED_0 = 26
    VERIFIED_1 = 29

cdef enum:
    # Checksum states.
    CHECKSUM_UNKNOWN = 0
    CHECKSUM_RIGHT = 1
    CHECKSUM_WRONG = 2

cdef enum:
    # Places of bits in the mark of a packet that carries a name.
    MARK_CHECKSUM = 32
    MARK_PLACED = 34
    ACKED_CONTESTED = 35

cdef enum:
    # Places in FLOW_STATE of what `answers` notes.
    DENIED_BY = 40
    UNANSWERED = 41
    DENIAL = 48

cdef enum:
    # Places in `netwatch.core.flow.DENIALS`, after those of alerts.
    DENIAL_403 = 257
    DENIAL_407 = 258
    DENIAL_451 = 259
    DENIAL_511 = 260

cdef enum:
    # Columns of a candidate row, and those after them of a row in the hello buffer.
    ROW_KIND = 0
    ROW_RECORD = 1
    ROW_PAYLOAD = 2
    ROW_CAPTURED = 3
    ROW_WIRE = 4
    ROW_SOURCE_PORT = 5
    ROW_DESTINATION_PORT = 6
    ROW_ADDRESSES = 7
    ROW_ADDRESS_SIZE = 8
    ROW_SOURCE_MAC = 9
    ROW_DESTINATION_MAC = 10
    ROW_VLAN = 11
    ROW_SEQUENCE = 12
    ROW_FLOW = 13
    ROW_SIDE = 14
    ROW_PROTOCOL = 15
    ROW_PREFILTERED = 16
    ROW_OBSERVATIONS = 17
    ROW_OWNER = 18
    ROW_MARK = 19
    ROW_COLUMNS = 20
    BUFFERED_TIME = 20
    BUFFERED_CAPTURED = 21
    BUFFERED_WIRE = 22
    BUFFERED_INTERFACE = 23
    BUFFERED_VLAN = 24
    BUFFERED_PACKET = 25
    BUFFERED_INTERFACES = 26
    BUFFERED_COLUMNS = 27

cdef enum:
    # Bits of ROW_SIDE.
    SIDE_STRAY = 4
    SIDE_OTHER_BYTES = 8

cdef enum:
    # The owner of a row's packet, if several workers read one capture.
    OWNER_SELF = 0
    OWNER_OTHER = 1
    OWNER_EVERYONE = 2
    EVERYONE = 255

cdef enum:
    # Fields of a record of a block (`netwatch.capture.block`).
    RECORD_TIME = 0
    RECORD_OFFSET = 1
    RECORD_CAPTURED = 2
    RECORD_WIRE = 3
    RECORD_INTERFACE = 4
    RECORD_VLAN = 5
    RECORD_FIELDS = 6

cdef enum:
    # An entry of the hello buffer, in 64-bit words.
    ENTRY_FLOW = 0
    ENTRY_SIDE = 1
    ENTRY_BASE = 2
    ENTRY_TIME = 3
    ENTRY_SPANS = 4
    ENTRY_PACKETS = 5
    ENTRY_BYTES = 6
    ENTRY_END = 7
    ENTRY_WORDS = 8

cdef enum:
    # Limits of one packet.
    MAX_IP_HEADERS = 8
    MAX_OTHER_HEADERS = 16
    MAX_EXTENSIONS = 12
    FAILURES = 64

cdef enum:
    # Limit of the counts of a capture.
    MAX_ETHER_TYPES = 32

cdef enum:
    # Limits of the hello buffer.
    MAX_HELLOS = 128
    MAX_PIECES = 4
    MAX_PACKET = 2048
    MAX_HELLO = 4096
    MAX_AGE = 2000000000
    MAX_SPANS = 32

cdef enum:
    # Kinds of candidates: keys of `netwatch.protocols.PROTOCOLS`, and five more.
    KIND_OPENING = 0
    KIND_DNS = 1
    KIND_TLS = 2
    KIND_QUIC = 3
    KIND_HTTP = 4
    KIND_DNS_TCP = 5
    KIND_MORE = 6
    KIND_FRAGMENT = 7
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
    KIND_TUNNEL_FRAGMENT = 18
    KIND_CLOCK = 19
    KIND_ANSWER = 20

cdef enum:
    # Sources to learn devices from: bits in the order of `netwatch.core.message.LEARNING_SOURCES`.
    LEARN_DHCP = 1
    LEARN_MDNS = 2
    LEARN_ARP = 4

cdef enum:
    # Name status of a flow: places in `netwatch.core.flow.NAME_STATUSES`.
    NAME_TRUNCATED = 1
    NAME_NO_SNI = 2
    NAME_NAMED = 3
    NAME_ECH = 4

cdef enum:
    # Evidence that is counted without a parser: places in `prefilter.EVIDENCE`.
    NAMES_DNS_QUERY = 0
    NAMES_DNS_ANSWER = 1
    NAMES_DNS_CNAME = 2
    NAMES_TLS_SNI = 3
    NAMES_QUIC_SNI = 4
    NAMES_HTTP_HOST = 5

cdef enum:
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

cdef enum:
    # Layers: what follows at the cursor. The rows of `netwatch.core.encapsulation` name them.
    LAYER_STOPPED = 0
    LAYER_TRANSPORT = 1
    LAYER_ETHERNET = 2
    LAYER_IPV4 = 3
    LAYER_IPV6 = 4
    LAYER_IP = 5
    LAYER_ETHER_TYPE = 6
    LAYER_VLAN = 7
    LAYER_LLC = 8
    LAYER_MPLS = 9
    LAYER_PPPOE = 10
    LAYER_PPP = 11
    LAYER_NSH = 12
    LAYER_GRE = 13
    LAYER_ETHERIP = 14
    LAYER_AH = 15
    LAYER_ESP = 16
    LAYER_MACSEC = 17
    LAYER_EXTENSION = 18
    LAYER_FRAGMENT = 19
    LAYER_UNSUPPORTED = 20
    LAYER_LOOPBACK = 21
    LAYER_LINUX_SLL = 22
    LAYER_LINUX_SLL2 = 23
    LAYER_RADIOTAP = 24
    LAYER_WLAN = 25
    LAYER_NFLOG = 26
    LAYER_FDDI = 27
    LAYER_MPACKET = 28
    LAYER_UNKNOWN_LINK = 29
    LAYER_CONTROL = 30
    LAYER_ERSPAN = 31
    LAYER_ERSPAN_3 = 32
    LAYER_WCCP = 33
    LAYER_L2TPV3 = 34

cdef enum:
    WLAN_TO_PACKET = 58
    PROTOCOL_TUNNEL_FRAGMENT = 256

cdef enum:
    # What follows an EtherType that is a tag or a header before the frame (`frame_tags`).
    LAYER_UNKNOWN_ETHER_TYPE = 40
    LAYER_TAG_2 = 41
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

cdef enum:
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

cdef enum:
    # Local networks other than Ethernet (`lan_links`).
    LAYER_TOKEN_RING = 90
    LAYER_ARCNET = 91
    LAYER_ARCNET_LINUX = 92
    LAYER_IPOIB = 93
    LAYER_IP_OVER_FC = 94
    LAYER_IEEE1394 = 95

cdef enum:
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

cdef enum:
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
