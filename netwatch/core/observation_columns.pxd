# Words of a row of an observation batch, as compiled modules share them. The interpreted form takes
# the same from observation_columns.py; tests/core/test_observation_columns.py compares the two.

cdef enum:
    WORD_TIME = 0
    WORD_TIME_DIGITS = 1
    WORD_EVIDENCE = 2
    WORD_NAME = 3
    WORD_CLIENT_IP = 4
    WORD_CLIENT_PORT = 5
    WORD_CLIENT_MAC = 6
    WORD_SERVER_IP = 7
    WORD_SERVER_PORT = 8
    WORD_TRANSPORT = 9
    WORD_VLAN = 10
    WORD_SOURCE = 11
    WORD_PACKET = 12
    WORD_FLOW = 13
    WORD_DNS_TYPE = 14
    WORD_DNS_RCODE = 15
    WORD_DNS_ANSWERS = 16
    WORD_DNS_CHAIN = 17
    WORD_DNS_SERVICE_TARGETS = 18
    WORD_DNS_ECH = 19
    WORD_TLS_VERSION = 20
    WORD_TLS_ALPN = 21
    WORD_TLS_JA4 = 22
    WORD_TLS_ECH = 23
    WORD_QUIC_VERSION = 24
    WORD_RAW = 25
    WORD_DNS_ASKED = 26
    WORD_CLIENT_HOST = 27
    WORD_LOG_LINE = 28
    WORD_LOG_FORMAT = 29
    WORD_LOG_LACKS = 30
    WORD_LOG_OUTCOME = 31
    WORD_LOG_BLOCKED_BY = 32
    WORD_CLIENT_NETWORK = 33
    WORD_SENSOR = 34
    WORDS = 35
    LIST_SHIFT = 16
    LIST_MASK = 65535
    EVIDENCE_DNS_QUERY = 0
    EVIDENCE_DNS_ANSWER = 1
    EVIDENCE_DNS_CNAME = 2
    EVIDENCE_TLS_SNI = 3
    EVIDENCE_QUIC_SNI = 4
    EVIDENCE_HTTP_HOST = 6
