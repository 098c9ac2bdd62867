# Roles of fields, shared by compiled modules. The interpreted form is layout.py;
# tests/logs/test_splitter.py compares the two.

cdef enum:
    ROLE_NONE = 0
    ROLE_TIME = 1
    ROLE_CLIENT_IP = 2
    ROLE_CLIENT_PORT = 3
    ROLE_SERVER_IP = 4
    ROLE_SERVER_PORT = 5
    ROLE_TRANSPORT = 6
    ROLE_VLAN = 7
    ROLE_EVENT = 8
    ROLE_MESSAGE = 9
    ROLE_VERSION = 10
    ROLE_OPCODE = 11
    ROLE_NAME = 12
    ROLE_TYPE = 13
    ROLE_RCODE = 14
    ROLE_RCODE_NUMBER = 15
    ROLE_ANSWERS = 16
    ROLE_TTLS = 17
    ROLE_REFUSED = 18
    ROLE_DNS = 19
    ROLE_QUESTIONS = 20
    ROLE_RECORDS = 21
    ROLE_GROUPED = 22
    ROLE_OWNER = 23
    ROLE_RECORD_TYPE = 24
    ROLE_TTL = 25
    ROLE_DATA = 26
    ROLE_FLAGS = 27
    ROLE_DURATION = 28
    ROLE_RESULT = 29
    ROLE_SIZE = 30
    ROLE_METHOD = 31
    ROLE_URL = 32
    ROLE_IS_SERVER = 33
    ROLES = 34
