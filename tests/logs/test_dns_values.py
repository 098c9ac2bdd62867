from netwatch.logs.dns_values import TextRecord, answer, listed

A, B, C = "a.example.org", "b.example.net", "c.example.net"


def test_addresses_of_the_name_and_of_its_aliases():
    records = [
        TextRecord(A, "CNAME", 300, B + "."),
        TextRecord(B, "CNAME", 60, "C.example.net"),
        TextRecord(C, "A", 20, "192.0.2.1"),
        TextRecord(C, "AAAA", 20, "2001:0db8:0000:0000:0000:0000:0000:0001"),
        TextRecord("other.example.org", "A", 20, "192.0.2.9"),
        TextRecord(A, "TXT", 20, "192.0.2.8"),
    ]
    for order in (records, records[::-1]):
        found = answer(A, "A", "NOERROR", order)
        assert found.chain == (B, C)
        assert set(found.answers) == {("192.0.2.1", 20), ("2001:db8::1", 20)}


def test_aliases_in_a_circle_end():
    found = answer(A, "A", "NOERROR", [TextRecord(A, "CNAME", 1, B), TextRecord(B, "CNAME", 1, A)])
    assert found.chain == (B,)


def test_an_answer_without_records():
    assert answer(A, "A", "NXDOMAIN", []).answers == ()


def test_records_that_are_no_addresses_are_left_out():
    assert answer(A, "A", "NOERROR", [TextRecord(A, "A", 1, "somewhere")]).answers == ()


def test_data_alone_is_in_the_order_of_the_answer():
    found = listed("AAAA", "NOERROR", [(B, 60), ("2001:db8::1", 20), ("TXT 3 abc", 0)])
    assert (found.chain, found.answers) == ((B,), (("2001:db8::1", 20),))


def test_data_of_other_types_are_no_aliases():
    assert listed("MX", "NOERROR", [(B, 60)]).chain == ()
    assert listed("A", "NOERROR", [("192.0.2.1", 20), (B, 60), ("", 0)]).chain == ()
